{{- define "tcf.fullname" -}}
{{- $chart := .Values.nameOverride | default .Chart.Name -}}
{{- $name := .Values.fullnameOverride | default (contains $chart .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $chart)) -}}
{{- $name | replace "." "-" | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "tcf.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
app.kubernetes.io/part-of: {{ .Chart.Name | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The labels of a workload that never change, because selectors are immutable. */}}
{{- define "tcf.operator.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end }}

{{/* Takes {root, member}. */}}
{{- define "tcf.worker.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: worker
tcf.dev/federation: {{ .member.federation | quote }}
tcf.dev/cluster: {{ .member.cluster | quote }}
{{- end }}

{{- define "tcf.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "tcf.operator.account" -}}
{{- .Values.operator.serviceAccount.name | default (include "tcf.fullname" .) -}}
{{- end }}

{{/*
The members that have workers in this cluster, as JSON: {federation, cluster, namespace, replicas, name, account}.
*/}}
{{- define "tcf.members" -}}
{{- get (include "tcf.named" . | fromJson) "here" | toJson -}}
{{- end }}

{{- define "tcf.remoteMembers" -}}
{{- get (include "tcf.named" . | fromJson) "remote" | toJson -}}
{{- end }}

{{/*
All members, with a different name for the objects of each. Ids may contain characters that names of objects must not:
_ and . become -, and capitals become lower case. Names that are too long are cut and end with a digest.
*/}}
{{- define "tcf.named" -}}
{{- $root := . -}}
{{- $fullname := include "tcf.fullname" . -}}
{{- $here := .Values.workers.members -}}
{{- if .Values.example.enabled -}}
{{- if and .Values.operator.enabled .Values.operator.namespaces (not (has .Release.Namespace .Values.operator.namespaces)) -}}
{{- fail (printf "example.enabled creates a federation in namespace %s, which is not in operator.namespaces: add it" .Release.Namespace) -}}
{{- end -}}
{{- if or (not .Values.operator.enabled) .Values.workers.kubeconfigSecret.name (not .Values.rbac.create) -}}
{{- fail "example.enabled needs an operator and workers in this cluster, and rights for the Job that creates the federation: do not change operator.enabled, workers.kubeconfigSecret.name and rbac.create" -}}
{{- end -}}
{{- range list "cluster_1" "cluster_2" -}}
{{- $here = append $here (dict "federation" "shop" "cluster" .) -}}
{{- end -}}
{{- end -}}
{{- $taken := dict -}}
{{- $named := dict -}}
{{- with .Values.workers.serviceAccount -}}
{{- if and .create .name -}}
{{- fail "workers.serviceAccount.name is for a ServiceAccount that exists already: set workers.serviceAccount.create to false, too. The chart itself would create one for each member, with names of their own" -}}
{{- else if not (or .create .name) -}}
{{- fail "workers.serviceAccount.create is false: set workers.serviceAccount.name to the ServiceAccount that exists already" -}}
{{- end -}}
{{- end -}}
{{- range $kind, $wanted := dict "here" $here "remote" .Values.remoteMembers.members -}}
{{- $infix := eq $kind "remote" | ternary "remote-" "" -}}
{{- $members := list -}}
{{- range $wanted -}}
{{- $namespace := .namespace | default $root.Release.Namespace -}}
{{- $suffix := printf "%s%s-%s" $infix .federation .cluster | lower | replace "_" "-" | replace "." "-" -}}
{{- $name := printf "%s-%s" $fullname $suffix -}}
{{- if gt (len $name) 50 -}}
{{- $name = printf "%s-%s" ($name | trunc 41 | trimSuffix "-") (sha256sum $suffix | trunc 8) -}}
{{- end -}}
{{- $who := printf "%s of %s in namespace %s" .cluster .federation $namespace -}}
{{- range eq $kind "here" | ternary (list $name (printf "%s-control" $name)) (list $name) -}}
{{- if eq (get $taken .) $who -}}
{{- fail (printf "%s is listed twice: remove one of the entries, or use replicas for more workers" $who) -}}
{{- else if hasKey $taken . -}}
{{- fail (printf "%s and %s would both have an object %s: in names of objects, _ becomes -, capitals become lower case, - joins federation and member, and the namespace of the federation is left out. Use ids that differ in more than that, or install one of the two with another release" (get $taken .) $who .) -}}
{{- end -}}
{{- $_ := set $taken . $who -}}
{{- end -}}
{{- $member := dict "name" $name "federation" .federation "cluster" .cluster -}}
{{- $_ := set $member "namespace" $namespace -}}
{{- $account := $root.Values.workers.serviceAccount -}}
{{- $_ := set $member "account" ((and (eq $kind "here") (not $account.create)) | ternary $account.name $name) -}}
{{- $_ := set $member "replicas" (hasKey . "replicas" | ternary .replicas $root.Values.workers.replicas) -}}
{{- $members = append $members $member -}}
{{- end -}}
{{- $_ := set $named $kind $members -}}
{{- end -}}
{{- toJson $named -}}
{{- end }}

{{/*
The rights of a worker of one federation; takes {root, member}. Leases have random names, so the rights cannot name
them. No API serves the subresources of the last three rules: the admission policies ask for these rights.
*/}}
{{- define "tcf.worker.rules" -}}
- apiGroups: [tcf.dev]
  resources: [clusterfederations]
  resourceNames: [{{ .member.federation | quote }}]
  verbs: [get, watch]
- apiGroups: [tcf.dev]
  resources: [clusterfederations/status]
  resourceNames: [{{ .member.federation | quote }}]
  verbs: [update]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create, get, patch, delete]
{{- if eq .root.Values.workers.auth.mode "kubernetes" }}
- apiGroups: [authorization.k8s.io]
  resources: [localsubjectaccessreviews]
  verbs: [create]
{{- end }}
- apiGroups: [tcf.dev]
  resources: [clusterfederations/worker]
  verbs: [represent]
- apiGroups: [tcf.dev]
  resources: [clusterfederations/member]
  resourceNames: ["{{ .member.federation }}:{{ .member.cluster }}"]
  verbs: [represent]
- apiGroups: [tcf.dev]
  resources: [clusterfederations/switchover{{ if .root.Values.workers.mayForce }}, clusterfederations/force{{ end }}]
  resourceNames: [{{ .member.federation | quote }}]
  verbs: [create]
{{- end }}

{{- define "tcf.operator.rules" -}}
{{- if and .Values.console.enabled (eq .Values.workers.auth.mode "kubernetes") }}
# The console asks what its users may do.
- apiGroups: [authorization.k8s.io]
  resources: [localsubjectaccessreviews]
  verbs: [create]
{{- end }}
- apiGroups: [tcf.dev]
  resources: [clusterfederations]
  verbs: [get, list, watch, patch]
- apiGroups: [tcf.dev]
  resources: [clusterfederations/status]
  verbs: [update]
# The admission policies ask for this right; no API serves that subresource.
- apiGroups: [tcf.dev]
  resources: [clusterfederations/roles]
  verbs: [update]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [list, watch, delete, create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [tcf-operator-heartbeat]
  verbs: [patch]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end }}

{{/*
The probes of a container; takes the name of the port. Startup and liveness do not depend on the hub, because an outage
of the hub must not restart anything. Readiness does depend on it.
*/}}
{{/* Takes {port, scheme}. */}}
{{- define "tcf.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: {{ .port }}, scheme: {{ .scheme }}}
  periodSeconds: 1
  timeoutSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: {{ .port }}, scheme: {{ .scheme }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: {{ .port }}, scheme: {{ .scheme }}}
  periodSeconds: 2
  timeoutSeconds: 2
{{- end }}

{{/* http or https: what workers serve, and the name of their port. */}}
{{- define "tcf.worker.scheme" -}}
{{ if .Values.workers.tls.secretName }}https{{ else }}http{{ end }}
{{- end }}

{{/* The ports of a worker's Service. */}}
{{- define "tcf.worker.ports" -}}
{{- $scheme := include "tcf.worker.scheme" . -}}
- {name: {{ $scheme }}, port: {{ .Values.workers.port }}, targetPort: {{ $scheme }}, appProtocol: {{ $scheme }}}
{{- with .Values.workers.probePort }}
- {name: probes, port: {{ . }}, targetPort: probes, appProtocol: http}
{{- end }}
{{- end }}

{{/* At least one pod stays, and a pod that is not ready does not hold up a drain; takes the selector. */}}
{{- define "tcf.budget" -}}
minAvailable: 1
unhealthyPodEvictionPolicy: AlwaysAllow
selector:
  matchLabels:
    {{- . | nindent 4 }}
{{- end }}

{{/* Labels and annotations of pods; takes {root, values, selector}, with the values of the workload. */}}
{{- define "tcf.podMetadata" -}}
labels:
  {{- $own := merge (.selector | fromYaml) (include "tcf.labels" .root | fromYaml) }}
  {{- toYaml (merge $own .values.podLabels) | nindent 2 }}
{{- with .values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The parts that all pods have; takes the root. */}}
{{- define "tcf.podBasics" -}}
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- end }}

{{/* The parts that all containers have; takes the root. */}}
{{- define "tcf.containerBasics" -}}
image: {{ include "tcf.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy | quote }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- end }}

{{/* Where pods run; takes {values, selector}. By default, on different nodes if possible. */}}
{{- define "tcf.placement" -}}
topologySpreadConstraints:
{{- if .values.topologySpreadConstraints }}
  {{- toYaml .values.topologySpreadConstraints | nindent 2 }}
{{- else }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- .selector | nindent 8 }}
{{- end }}
{{- with .values }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* The arguments by which workers and the console check who asks, and record it; takes the root. */}}
{{- define "tcf.worker.auth" -}}
{{- $auth := .Values.workers.auth -}}
{{- $oauth2 := $auth.oauth2 -}}
{{- if and $auth.reads (eq $auth.mode "none") }}
{{- fail "workers.auth.reads needs workers.auth.mode kubernetes or oauth2" }}
{{- end -}}
- --auth={{ $auth.mode }}
{{- if and $auth.reads (ne $auth.mode "none") }}
- --auth-reads
{{- end }}
{{- if eq $auth.mode "kubernetes" }}
{{- range $auth.audiences }}
- {{ printf "--auth-audience=%s" . | quote }}
{{- end }}
{{- else if eq $auth.mode "oauth2" }}
{{- if not (and $oauth2.introspectionURL $oauth2.clientID $oauth2.secretName) }}
{{- fail "workers.auth.mode is oauth2: set workers.auth.oauth2.introspectionURL, .clientID and .secretName, too" }}
{{- end }}
- {{ printf "--oauth2-introspection-url=%s" $oauth2.introspectionURL | quote }}
- {{ printf "--oauth2-client-id=%s" $oauth2.clientID | quote }}
- --oauth2-client-secret-file=/etc/tcf/oauth2/client-secret
{{- if $oauth2.caFromSecret }}
- --oauth2-ca-file=/etc/tcf/oauth2/ca.crt
{{- end }}
- {{ printf "--oauth2-roles-claim=%s" $oauth2.rolesClaim | quote }}
{{- range $role, $name := $oauth2.roles }}
- {{ printf "--oauth2-%s-role=%s" $role $name | quote }}
{{- end }}
{{- end }}
{{- if .Values.workers.auditLog }}
- --audit-log=-
{{- end }}
{{- end }}

{{/* Gives a member's ServiceAccount the rights of a worker; takes {root, member, selector}. */}}
{{- define "tcf.worker.rbac" }}
{{- if .root.Values.rbac.create }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ .member.name | quote }}
  namespace: {{ .member.namespace | quote }}
  labels:
    {{- .selector | nindent 4 }}
    {{- include "tcf.labels" .root | nindent 4 }}
rules:
  {{- include "tcf.worker.rules" . | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ .member.name | quote }}
  namespace: {{ .member.namespace | quote }}
  labels:
    {{- .selector | nindent 4 }}
    {{- include "tcf.labels" .root | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ .member.name | quote }}}
subjects:
  - {kind: ServiceAccount, name: {{ .member.account | quote }}, namespace: {{ .root.Release.Namespace | quote }}}
{{- end }}
{{- end }}
