{{/* Quantities as numbers, to compare them: CPU in millicores, memory in bytes. */}}
{{- define "wordtell.millicores" -}}
{{- $text := toString . -}}
{{- if hasSuffix "m" $text }}{{ trimSuffix "m" $text | float64 | int64 }}{{ else }}{{ mulf (float64 $text) 1000 | int64 }}{{ end -}}
{{- end }}

{{- define "wordtell.bytes" -}}
{{- $text := toString . -}}
{{- $units := dict "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 -}}
{{- $number := regexFind "^[0-9.]+" $text -}}
{{- mulf (float64 $number) (get $units (trimPrefix $number $text) | default 1) | int64 -}}
{{- end }}

{{/* What a pod takes of memory, if that is not asked for: the server, the model, and the lanes that work on it. */}}
{{- define "wordtell.memory" -}}
{{- if .asked -}}
{{ .asked }}
{{- else -}}
{{- $model := include "wordtell.bytes" .root.Values.model.size | float64 -}}
{{- $cores := divf (include "wordtell.millicores" .root.Values.resources.limits.cpu | float64) 1000 | ceil -}}
{{- $mebibytes := addf 512 (divf (mulf 2 $model) 1048576) (mulf 64 $cores) | ceil | int64 -}}
{{ mod $mebibytes 1024 | eq 0 | ternary (printf "%dGi" (div $mebibytes 1024)) (printf "%dMi" $mebibytes) }}
{{- end -}}
{{- end }}
