{{- define "headgate.name" -}}
{{- if contains "headgate" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-headgate" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "headgate.labels" -}}
app.kubernetes.io/name: headgate
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "headgate.selector" -}}
app.kubernetes.io/name: headgate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The groups of nodes, in the order of their start: kind, values, roles, and whether they are the control plane. */}}
{{- define "headgate.groups" -}}
- {kind: control, values: controlPlane, roles: "publisher,devportal,admin,key-manager", ready: {path: /readyz, port: management, scheme: HTTPS}}
- {kind: traffic, values: trafficManager, roles: traffic-manager, ready: {path: /readyz, port: management, scheme: HTTPS}}
- {kind: gateway, values: gateways, roles: gateway, ready: {path: /_headgate/readyz, port: http, scheme: HTTP}}
{{- end }}
