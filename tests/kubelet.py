"""What Kubernetes adds to the environment of a pod."""

from __future__ import annotations


def service_variables(name: str, port: int, protocol: str, port_name: str) -> dict[str, str]:
    """The variables of a Service (https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/envvars/envvars.go)."""
    base = name.upper().replace("-", "_")
    numbered = f"{base}_PORT_{port}_{protocol.upper()}"
    address = f"{protocol}://10.0.0.7:{port}"
    return {
        f"{base}_SERVICE_HOST": "10.0.0.7",
        f"{base}_SERVICE_PORT": str(port),
        f"{base}_SERVICE_PORT_{port_name.upper().replace('-', '_')}": str(port),
        f"{base}_PORT": address,
        numbered: address,
        f"{numbered}_PROTO": protocol,
        f"{numbered}_PORT": str(port),
        f"{numbered}_ADDR": "10.0.0.7",
    }
