{{- define "wordtell.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "wordtell.fullname" -}}
{{- $name := include "wordtell.name" . -}}
{{- $both := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{ default $both .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "wordtell.selector" -}}
app.kubernetes.io/name: {{ include "wordtell.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "wordtell.labels" -}}
{{ include "wordtell.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "wordtell.metadata" -}}
name: {{ include "wordtell.fullname" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "wordtell.labels" . | nindent 2 }}
{{- end }}

{{- define "wordtell.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (ternary (include "wordtell.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- define "wordtell.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* Settings of wordtell that the chart has to know; their defaults are wordtell's. */}}
{{- define "wordtell.timeout" -}}
{{ dig "api" "timeout_s" 120 .Values.config | float64 | ceil | int }}
{{- end }}
{{/* What stands before the pods gives up a little later than they do. */}}
{{- define "wordtell.proxyTimeout" -}}
{{ add (include "wordtell.timeout" . | int) 5 }}
{{- end }}
{{- define "wordtell.shutdown" -}}
{{ dig "api" "shutdown_s" 30 .Values.config }}
{{- end }}
{{- define "wordtell.bodyBytes" -}}
{{- $request := dig "api" "max_body_bytes" 4194304 .Values.config | int64 -}}
{{- $job := dig "jobs" "max_body_bytes" 67108864 .Values.config | int64 -}}
{{- ternary $request (max $request $job) (eq .Values.jobs.database "none") }}
{{- end }}

{{/* Where a proxy shows wordtell: the path of the Ingress, else of the HTTPRoute, if it is one and no pattern. */}}
{{- define "wordtell.basePath" -}}
{{- $paths := list -}}
{{- range $way := list .Values.ingress .Values.httpRoute -}}
{{- if and $way.enabled (not $.Values.kserve.enabled) -}}
{{- $paths = append $paths (regexFind "^(/[A-Za-z0-9_.~+@:-]+)+$" (trimSuffix "/" $way.path)) -}}
{{- end -}}
{{- end -}}
{{- $paths = without $paths "" | uniq -}}
{{- if and (gt (len $paths) 1) (not (dig "api" "base_path" "" .Values.config)) -}}
{{- fail (printf "ingress.path (%s) and httpRoute.path (%s) differ: make them equal, or set config.api.base_path to the one that the page at / is for" (first $paths) (last $paths)) -}}
{{- end -}}
{{- if and $paths (not (hasKey (get .Values.config "api" | default dict) "base_path")) -}}
{{- first $paths -}}
{{- end -}}
{{- end }}

{{- define "wordtell.gracePeriod" -}}
{{ add .Values.preStopSeconds (include "wordtell.shutdown" . | float64 | ceil | int) 10 }}
{{- end }}
