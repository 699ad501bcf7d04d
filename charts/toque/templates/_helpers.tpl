{{- /* The name of a release is a label of everything it has, and part of names. */}}
{{- define "toque.name" -}}
{{- if or (gt (len .Release.Name) 40) (contains "." .Release.Name) }}
{{- fail "the name of the release must have at most 40 letters, digits and -" }}
{{- end }}
{{- .Release.Name }}
{{- end }}

{{- /* A taint as kubectl writes it, KEY[=VALUE][:EFFECT], as a toleration. */}}
{{- define "toque.toleration" -}}
{{- $taint := splitn ":" 2 . }}
{{- $pair := splitn "=" 2 $taint._0 }}
{{- $made := dict "key" $pair._0 "operator" (ternary "Equal" "Exists" (not (empty $pair._1))) }}
{{- with $pair._1 }}{{ $_ := set $made "value" . }}{{ end }}
{{- with $taint._1 }}{{ $_ := set $made "effect" . }}{{ end }}
{{- toJson $made }}
{{- end }}
