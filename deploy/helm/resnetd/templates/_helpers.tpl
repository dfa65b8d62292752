{{- define "resnetd.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "resnetd.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "resnetd.labels" -}}
{{ include "resnetd.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "resnetd.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default (ternary "cuda" "cpu" .Values.gpu.enabled) }}
{{- end }}

{{/* The value of --model; empty for the image's own model. */}}
{{- define "resnetd.model" -}}
{{- with .Values.model }}
{{- if gt (len (compact (list .name .claim.name .image.reference))) 1 }}
{{- fail "set at most one of model.name, model.claim.name and model.image.reference" }}
{{- end }}
{{- if .claim.name }}/models/{{ .claim.folder }}
{{- else if .image.reference }}/models/{{ .image.folder }}
{{- else }}{{ .name }}{{ end }}
{{- end }}
{{- end }}
