{{/*
Name of the objects. Cut so that the longest suffix of ours (`-certificate`) still fits a DNS label of 63 characters; a
release may have dots or start with a digit, which a Service may not.
*/}}
{{- define "imds-emulator.fullname" -}}
{{- $part := .Values.nameOverride | default .Chart.Name }}
{{- $name := .Release.Name }}
{{- if not (contains $part $name) }}
{{- $name = printf "%s-%s" $name $part }}
{{- end }}
{{- $name = .Values.fullnameOverride | default $name | replace "." "-" }}
{{- regexReplaceAll "^([0-9])" $name "r${1}" | trunc 51 | trimAll "-" }}
{{- end }}

{{- define "imds-emulator.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "imds-emulator.labels" -}}
{{- $own := include "imds-emulator.selectorLabels" . | fromYaml }}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion }}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service }}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_") }}
{{- toYaml (merge $own (.Values.commonLabels | default dict)) }}
{{- end }}

{{/* The selector's labels are merged first: nobody's podLabels change them. */}}
{{- define "imds-emulator.podLabels" -}}
{{- $own := include "imds-emulator.selectorLabels" . | fromYaml }}
{{- toYaml (merge $own (.Values.podLabels | default dict) (.Values.commonLabels | default dict)) }}
{{- end }}

{{/*
Full name of an image; takes `image` (one of the values' images), its `key` and `root`. As in every reference to an image,
what stands before the first slash is a registry if it has a dot or a colon, or is localhost.
*/}}
{{- define "imds-emulator.image" -}}
{{- $registry := .image.registry | default .root.Values.global.imageRegistry }}
{{- if regexMatch "^(localhost|[^/]*[.:][^/]*)/" .image.repository }}
{{- if .image.registry }}
{{- fail (printf "%s.repository is %s, which has a registry already: set %s.registry to \"\", or leave the registry out of the repository" .key .image.repository .key) }}
{{- end }}
{{- $registry = "" }}
{{- end }}
{{- with $registry }}{{ trimSuffix "/" . }}/{{ end }}{{ .image.repository }}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ .image.tag | default .root.Chart.AppVersion }}{{ end }}
{{- end }}

{{/* Pull secrets of the webhook's pods and of the tests', or nothing. */}}
{{- define "imds-emulator.pullSecrets" -}}
{{- $secrets := list }}
{{- range concat (.Values.global.imagePullSecrets | default list) (.Values.imagePullSecrets | default list) }}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) }}
{{- end }}
{{- with uniq $secrets -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "imds-emulator.serviceAccountName" -}}
{{- $default := ternary (include "imds-emulator.fullname" .) "default" .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default $default }}
{{- end }}

{{- define "imds-emulator.certificateSecret" -}}
{{- if eq .Values.certificate.mode "secret" }}
{{- .Values.certificate.secretName }}
{{- else }}
{{- include "imds-emulator.fullname" . }}-certificate
{{- end }}
{{- end }}

{{- define "imds-emulator.namespaceSelector" -}}
{{- $names := .Values.namespaces.excluded }}
{{- if .Values.namespaces.excludeRelease }}
{{- $names = append $names .Release.Namespace | uniq }}
{{- end }}
{{- $selector := .Values.namespaces.selector | default dict }}
{{- $expressions := $selector.matchExpressions | default list }}
{{- with $names }}
{{- $expressions = prepend $expressions (dict "key" "kubernetes.io/metadata.name" "operator" "NotIn" "values" .) }}
{{- end }}
{{- toYaml (merge (dict "matchExpressions" $expressions) $selector) }}
{{- end }}

{{- define "imds-emulator.mutatingPolicyApi" -}}
{{- $version := .Capabilities.KubeVersion.Version }}
{{- if or (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy") (semverCompare ">=1.36.0-0" $version) -}}
admissionregistration.k8s.io/v1
{{- else if semverCompare ">=1.34.0-0" $version -}}
admissionregistration.k8s.io/v1beta1
{{- else }}
{{- fail (printf "mode is %s, which needs Kubernetes 1.34 or later, and this is %s: set mode to webhook" .Values.mode $version) }}
{{- end }}
{{- end }}

{{/*
Those parameters that a policy reads, as a map in CEL, of which all JSON objects of texts are a part; takes `root` and the
`keys`. An API server takes 100000 characters.
*/}}
{{- define "imds-emulator.parameters" -}}
{{- $data := (include (print .root.Template.BasePath "/configmap.yaml") .root | fromYaml).data }}
{{- $map := dict }}
{{- range .keys }}
{{- $_ := set $map . (get $data .) }}
{{- end }}
{{- $text := toPrettyJson $map }}
{{- if gt (len $text) 100000 }}
{{- fail (printf "allowedRoles.default has %d entries, which with the other parameters are %d characters, and a policy takes 100000: use globs, or the annotation imds-emulator/allowed-roles of namespaces" (len (.root.Values.allowedRoles.default | default list)) (len $text)) }}
{{- end }}
{{- $text }}
{{- end }}

{{/* A test's objects go when it has succeeded, and before it is run again. */}}
{{- define "imds-emulator.testHook" -}}
{{- $own := dict "helm.sh/hook" "test" "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded" }}
{{- toYaml (merge $own (.Values.commonAnnotations | default dict)) }}
{{- end }}

{{/* Not the name of the webhook's pods, which its Service selects. */}}
{{- define "imds-emulator.testLabels" -}}
{{- $own := dict "app.kubernetes.io/name" (printf "%s-test" .Chart.Name) }}
{{- toYaml (merge $own (include "imds-emulator.labels" . | fromYaml)) }}
{{- end }}

{{/* What the pods of the tests have in common. Their user is not the emulator's, whose connections are its own. */}}
{{- define "imds-emulator.testPod" -}}
restartPolicy: Never
nodeSelector: {kubernetes.io/os: linux}
{{- with .Values.podSecurityContext }}
securityContext:
  {{- $user := ternary (dict "runAsUser" 65532 "runAsGroup" 65532) dict (hasKey . "runAsUser") }}
  {{- toYaml (mergeOverwrite (deepCopy .) $user) | nindent 2 }}
{{- end }}
{{- end }}

{{- define "imds-emulator.testContainer" -}}
name: probe
image: {{ include "imds-emulator.image" (dict "image" .Values.image "key" "image" "root" .) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy | quote }}
resources:
  requests: {cpu: 40m, memory: 32Mi}
  limits: {cpu: 400m, memory: 64Mi}
{{- with .Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
