{{- /* Labels of every object. The first argument is the name of the component. */ -}}
{{- define "hauberk.labels" -}}
{{ include "hauberk.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: hauberk
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* Specific: the pods of gateways are in this namespace too. */ -}}
{{- define "hauberk.selector" -}}
app.kubernetes.io/name: hauberk-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* {image, chart}: repository@digest, or repository:tag. */ -}}
{{- define "hauberk.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "hauberk.imagePullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* What the operator makes once and leaves alone, as a JSON array: resources of kinds whose definitions come with this very release, and that Helm would otherwise take back on each upgrade what people changed in them. */ -}}
{{- define "hauberk.defaultResources" -}}
{{- $resources := list -}}
{{- if .Values.gatewayClass.create -}}
{{- $spec := dict "controllerName" "hauberk.dev/gateway-controller" "description" "Gateways that are workloads of the mesh" -}}
{{- $resources = append $resources (dict "apiVersion" "gateway.networking.k8s.io/v1" "kind" "GatewayClass" "metadata" (dict "name" "hauberk") "spec" $spec) -}}
{{- end -}}
{{- if .Values.meshConfig.create -}}
{{- $resources = append $resources (dict "apiVersion" "hauberk.dev/v1alpha1" "kind" "MeshConfig" "metadata" (dict "name" "default") "spec" .Values.meshConfig.spec) -}}
{{- end -}}
{{- toJson $resources -}}
{{- end }}

{{- /* Namespaces whose pods go through our webhooks: those with the label, never our own. */ -}}
{{- define "hauberk.meshedNamespaces" -}}
matchLabels:
  hauberk.dev/inject: enabled
{{ include "hauberk.otherNamespaces" . }}
{{- end }}

{{- /* All namespaces but our own and those that everything hangs on. */ -}}
{{- define "hauberk.otherNamespaces" -}}
matchExpressions:
- key: kubernetes.io/metadata.name
  operator: NotIn
  values:
  {{- prepend .Values.webhooks.excludedNamespaces .Release.Namespace | uniq | toYaml | nindent 2 }}
{{- end }}

{{- /* Neither path nor caBundle: the operator writes both, and what no manifest names no upgrade takes away. */ -}}
{{- define "hauberk.webhookClient" -}}
service:
  namespace: {{ .Release.Namespace }}
  name: hauberk-operator
  port: 443
{{- end }}

{{- /* Pods under the pod security standard `restricted`. */ -}}
{{- define "hauberk.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "hauberk.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
