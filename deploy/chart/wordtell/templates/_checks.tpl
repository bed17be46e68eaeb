{{/* What the schema cannot say: values that contradict each other. Each is one line with its remedy. */}}
{{- define "wordtell.checks" -}}
{{- $v := .Values -}}
{{- $limits := $v.resources.limits -}}
{{- $requests := $v.resources.requests -}}
{{- if lt (include "wordtell.millicores" $limits.cpu | int64) (include "wordtell.millicores" $requests.cpu | int64) -}}
{{- fail (printf "resources.limits.cpu (%v) is below resources.requests.cpu (%v): make them equal" $limits.cpu $requests.cpu) -}}
{{- end -}}
{{- $least := include "wordtell.memory" (dict "asked" $requests.memory "root" .) -}}
{{- $most := include "wordtell.memory" (dict "asked" $limits.memory "root" .) -}}
{{- if lt (include "wordtell.bytes" $most | int64) (include "wordtell.bytes" $least | int64) -}}
{{- fail (printf "resources.limits.memory (%v) is below resources.requests.memory (%v): make them equal" $most $least) -}}
{{- end -}}
{{- if gt $v.autoscaling.minReplicas $v.autoscaling.maxReplicas -}}
{{- fail (printf "autoscaling.minReplicas (%v) is above autoscaling.maxReplicas (%v): swap them" $v.autoscaling.minReplicas $v.autoscaling.maxReplicas) -}}
{{- end -}}
{{- if and (eq $v.model.source "pvc") (not $v.model.pvc.claim) -}}
{{- fail "model.source is pvc but model.pvc.claim is empty: name a PersistentVolumeClaim that holds the model folder" -}}
{{- end -}}
{{- if and (eq $v.model.source "init") (not $v.model.init.command) -}}
{{- fail "model.source is init but model.init.command is empty: give the command that writes the model folder to /mnt/models" -}}
{{- end -}}
{{- if and (eq $v.model.source "image") (not $v.model.image.reference) -}}
{{- fail "model.source is image but model.image.reference is empty: name the OCI image that holds the model folder" -}}
{{- end -}}
{{- if and (ne $v.model.source "baked") (dig "model" "checkpoint_dir" "" $v.config) -}}
{{- fail (printf "config.model.checkpoint_dir is set, but model.source is %s and mounts the model at /mnt/models: leave one of them out" $v.model.source) -}}
{{- end -}}
{{- if and (eq $v.jobs.database "sqlite") (or (ne $v.autoscaling.type "none") (ne ($v.replicas | int) 1)) -}}
{{- fail (printf "jobs.database is sqlite, whose volume one pod writes to: set replicas (%v) to 1 and autoscaling.type (%s) to none, or jobs.database to postgresql" $v.replicas $v.autoscaling.type) -}}
{{- end -}}
{{- if and (eq $v.jobs.database "sqlite") $v.kserve.enabled -}}
{{- fail "jobs.database is sqlite, but KServe decides how many pods there are: set it to postgresql" -}}
{{- end -}}
{{- if and (eq $v.jobs.database "postgresql") (not $v.jobs.postgresql.urlSecret) -}}
{{- fail "jobs.database is postgresql but jobs.postgresql.urlSecret is empty: name a Secret whose key url is postgresql://user:password@host:5432/name" -}}
{{- end -}}
{{- if and (ne $v.jobs.database "none") (dig "jobs" "folder" "" $v.config) -}}
{{- fail (printf "config.jobs.folder is set, but jobs.database is %s: leave one of them out" $v.jobs.database) -}}
{{- end -}}
{{- if and $v.httpRoute.enabled (not $v.httpRoute.parentRefs) -}}
{{- fail "httpRoute.enabled is true but httpRoute.parentRefs is empty: name the Gateway, e.g. [{name: public}]" -}}
{{- end -}}
{{- if $v.kserve.enabled -}}
{{- if not $v.kserve.storageUri -}}
{{- fail "kserve.enabled is true but kserve.storageUri is empty: name where the model folder is, e.g. pvc://claim/folder" -}}
{{- end -}}
{{- if ne $v.model.source "baked" -}}
{{- fail (printf "kserve.enabled is true, so kserve.storageUri says where the model is: leave model.source (%s) out" $v.model.source) -}}
{{- end -}}
{{- if and (eq $v.kserve.mode "Standard") (not (kindIs "invalid" $v.kserve.knative.canaryTrafficPercent)) -}}
{{- fail "kserve.knative.canaryTrafficPercent needs kserve.mode Knative: Standard has no canary" -}}
{{- end -}}
{{- if gt $v.kserve.knative.minReplicas $v.kserve.knative.maxReplicas -}}
{{- fail (printf "kserve.knative.minReplicas (%v) is above kserve.knative.maxReplicas (%v): swap them" $v.kserve.knative.minReplicas $v.kserve.knative.maxReplicas) -}}
{{- end -}}
{{- end -}}
{{- end }}
