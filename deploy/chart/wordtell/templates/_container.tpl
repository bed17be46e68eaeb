{{/* The container that serves: one source for the Deployment and for KServe's ServingRuntime. */}}

{{- define "wordtell.securityContext" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
runAsNonRoot: true
{{- with .Values.user }}
runAsUser: {{ . }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* For the whole pod. The group lets the user read volumes that belong to root. */}}
{{- define "wordtell.podSecurityContext" -}}
{{- with .Values.user }}
fsGroup: {{ . }}
runAsGroup: {{ . }}
runAsUser: {{ . }}
{{- end }}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "wordtell.mounted" -}}
{{ if or .Values.kserve.enabled (ne .Values.model.source "baked") }}true{{ end }}
{{- end }}

{{/* Knative takes no resourceFieldRef without a feature flag. */}}
{{- define "wordtell.env" -}}
- name: OMP_NUM_THREADS
{{- if and .Values.kserve.enabled (eq .Values.kserve.mode "Knative") }}
  value: {{ max 1 (div (include "wordtell.millicores" .Values.resources.limits.cpu | int64) 1000) | quote }}
{{- else }}
  valueFrom:
    resourceFieldRef:
      resource: limits.cpu
      divisor: "0" # as the API server keeps it: one core
{{- end }}
{{- if and .Values.kserve.enabled (not (dig "model" "name" "" .Values.config)) }}
# KServe's clients call the model by the name of the InferenceService.
- name: WORDTELL_MODEL__NAME
  value: {{ include "wordtell.fullname" . | quote }}
{{- end }}
{{- if include "wordtell.mounted" . }}
# So that a missing mount is an error, not the baked model.
- name: WORDTELL_MODEL__CHECKPOINT_DIR
  value: /mnt/models
{{- end }}
{{- if .Values.model.publicKeyConfigMap }}
- name: WORDTELL_MODEL__REQUIRE_SIGNATURE
  value: /etc/wordtell/public.pem
{{- end }}
{{- with include "wordtell.basePath" . }}
- name: WORDTELL_API__BASE_PATH
  value: {{ . }}
{{- end }}
{{- if eq .Values.jobs.database "sqlite" }}
- name: WORDTELL_JOBS__FOLDER
  value: /var/lib/wordtell/jobs
{{- else if eq .Values.jobs.database "postgresql" }}
- name: WORDTELL_JOBS__DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.jobs.postgresql.urlSecret | quote }}
      key: url
{{- end }}
{{- with .Values.apiKeysSecret }}
- name: WORDTELL_API__KEYS
  valueFrom:
    secretKeyRef:
      name: {{ . | quote }}
      key: keys
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Quantities as text, as the API server keeps them: a number would be another value, and belong to nobody else. */}}
{{- define "wordtell.resources" -}}
{{- range $part, $amounts := .Values.resources -}}
{{ $part }}:
  {{- range $name, $amount := $amounts }}
  {{ $name }}: {{ eq $name "memory" | ternary (include "wordtell.memory" (dict "asked" $amount "root" $)) (toString $amount) | quote }}
  {{- end }}
{{ end -}}
{{- end }}

{{- define "wordtell.container" -}}
image: {{ include "wordtell.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  {{- include "wordtell.env" . | nindent 2 }}
{{- if .Values.config }}
envFrom:
  - configMapRef:
      name: {{ include "wordtell.fullname" . }}
{{- end }}
resources:
  {{- include "wordtell.resources" . | nindent 2 }}
securityContext:
  {{- include "wordtell.securityContext" . | nindent 2 }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- if .Values.model.publicKeyConfigMap }}
  - name: public-key
    mountPath: /etc/wordtell
    readOnly: true
  {{- end }}
  {{- if and (include "wordtell.mounted" .) (not .Values.kserve.enabled) }}
  - name: model
    mountPath: /mnt/models
    {{- if eq .Values.model.source "pvc" }}
    {{- with .Values.model.pvc.subPath }}
    subPath: {{ . | quote }}
    {{- end }}
    {{- end }}
    readOnly: true
  {{- end }}
  {{- if eq .Values.jobs.database "sqlite" }}
  - name: jobs
    mountPath: /var/lib/wordtell
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* readyz is 200 when a request would be answered now, livez as long as the process can answer at all. */}}
{{- define "wordtell.probes" -}}
{{- $port := . -}}
readinessProbe:
  httpGet:
    path: /readyz
    port: {{ $port }}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
livenessProbe:
  httpGet:
    path: /livez
    port: {{ $port }}
  periodSeconds: 20
  timeoutSeconds: 10
  failureThreshold: 3
{{- end }}

{{- define "wordtell.startupProbe" -}}
startupProbe:
  httpGet:
    path: /readyz
    port: http
  periodSeconds: 2
  timeoutSeconds: 3
  failureThreshold: {{ div (add .Values.startupSeconds 1) 2 }}
{{- end }}

{{- define "wordtell.lifecycle" -}}
lifecycle:
  preStop:
    exec:
      command: [sleep, {{ .Values.preStopSeconds | quote }}]
{{- end }}

{{- define "wordtell.pullSecrets" -}}
{{- with .Values.image.pullSecrets -}}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "wordtell.tmp" -}}
name: tmp
emptyDir:
  sizeLimit: 256Mi
{{- end }}

{{- define "wordtell.publicKey" -}}
{{- with .Values.model.publicKeyConfigMap -}}
- name: public-key
  configMap:
    name: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "wordtell.topologySpread" -}}
{{- if .Values.topologySpread -}}
{{ toYaml .Values.topologySpread }}
{{- else -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "wordtell.selector" . | nindent 6 }}
{{- end -}}
{{- end }}
