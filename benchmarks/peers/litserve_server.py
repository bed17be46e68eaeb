"""LitServe's dynamic batching around the session: `python -m benchmarks.peers.litserve_server port`."""

from __future__ import annotations

import sys

import litserve

from benchmarks.peers.session import Session


class Scores(litserve.LitAPI):
    """POST /predict {"sentences": [...]}."""

    def setup(self, device: str) -> None:
        """Load the model."""
        self._session = Session()

    # LitServe reads these two signatures with FastAPI: a type there changes what it takes for the body.
    def decode_request(self, request):  # type: ignore[no-untyped-def]  # see above
        """The texts of a request."""
        sentences: list[str] = request["sentences"]
        return sentences

    def predict(self, x: list[list[str]]) -> list[list[list[float]]]:
        """Several requests in one run."""
        scores = iter(self._session.score([text for texts in x for text in texts]))
        return [[next(scores) for _ in texts] for texts in x]

    def batch(self, inputs: list[list[str]]) -> list[list[str]]:
        """As they come."""
        return inputs

    def unbatch(self, output: list[list[list[float]]]) -> list[list[list[float]]]:
        """As they come."""
        return output

    def encode_response(self, output):  # type: ignore[no-untyped-def]  # see above
        """As wordtell's."""
        return {"probabilities": output}


if __name__ == "__main__":
    server = litserve.LitServer(Scores(max_batch_size=8, batch_timeout=0.005), accelerator="cpu", timeout=600)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
