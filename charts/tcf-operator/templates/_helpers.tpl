{{- define "tcf.fullname" -}}
{{- $name := .Values.fullnameOverride | default (contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name)) -}}
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

{{/* What never changes of a workload's labels: selectors are immutable. */}}
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

{{/*
The members that have workers here, as JSON: {federation, cluster, namespace, replicas, name}.
*/}}
{{- define "tcf.members" -}}
{{- get (include "tcf.named" . | fromJson) "here" | toJson -}}
{{- end }}

{{- define "tcf.remoteMembers" -}}
{{- get (include "tcf.named" . | fromJson) "remote" | toJson -}}
{{- end }}

{{/*
All members with names for their objects, all of which differ. A member's id may hold what a name of an object
may not: _ and . become -, capitals small. Names too long end in a digest.
*/}}
{{- define "tcf.named" -}}
{{- $root := . -}}
{{- $fullname := include "tcf.fullname" . -}}
{{- $here := .Values.workers.members -}}
{{- if .Values.example.enabled -}}
{{- if and .Values.operator.enabled .Values.operator.namespaces (not (has .Release.Namespace .Values.operator.namespaces)) -}}
{{- fail (printf "example.enabled creates a federation in namespace %s, which operator.namespaces lacks: add it" .Release.Namespace) -}}
{{- end -}}
{{- range list "cluster_1" "cluster_2" -}}
{{- $here = append $here (dict "federation" "shop" "cluster" .) -}}
{{- end -}}
{{- end -}}
{{- $taken := dict -}}
{{- $named := dict -}}
{{- range $kind, $wanted := dict "here" $here "remote" .Values.remoteMembers.members -}}
{{- $infix := eq $kind "remote" | ternary "remote-" "" -}}
{{- $members := list -}}
{{- range $wanted -}}
{{- $suffix := printf "%s%s-%s" $infix .federation .cluster | lower | replace "_" "-" | replace "." "-" -}}
{{- $name := printf "%s-%s" $fullname $suffix -}}
{{- if gt (len $name) 50 -}}
{{- $name = printf "%s-%s" ($name | trunc 41 | trimSuffix "-") (sha256sum $suffix | trunc 8) -}}
{{- end -}}
{{- $who := printf "%s of %s" .cluster .federation -}}
{{- range eq $kind "here" | ternary (list $name (printf "%s-control" $name)) (list $name) -}}
{{- if hasKey $taken . -}}
{{- fail (printf "%s and %s would both have an object %s: _ becomes - and capitals small in names of objects. Give them ids that differ in more than that, or install them by releases of their own" (get $taken .) $who .) -}}
{{- end -}}
{{- $_ := set $taken . $who -}}
{{- end -}}
{{- $member := dict "name" $name "federation" .federation "cluster" .cluster -}}
{{- $_ := set $member "namespace" (.namespace | default $root.Release.Namespace) -}}
{{- $_ := set $member "replicas" (hasKey . "replicas" | ternary .replicas $root.Values.workers.replicas) -}}
{{- $members = append $members $member -}}
{{- end -}}
{{- $_ := set $named $kind $members -}}
{{- end -}}
{{- toJson $named -}}
{{- end }}

{{/* The rights of a worker of one federation. A Lease has a random name, so names cannot narrow that. */}}
{{- define "tcf.worker.rules" -}}
- apiGroups: [tcf.dev]
  resources: [clusterfederations]
  resourceNames: [{{ .federation | quote }}]
  verbs: [get, watch]
- apiGroups: [tcf.dev]
  resources: [clusterfederations/status]
  resourceNames: [{{ .federation | quote }}]
  verbs: [update]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create, get, patch, delete]
{{- end }}

{{- define "tcf.operator.rules" -}}
- apiGroups: [tcf.dev]
  resources: [clusterfederations]
  verbs: [get, list, watch, patch]
- apiGroups: [tcf.dev]
  resources: [clusterfederations/status]
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

{{/* Both programs fit the restricted Pod Security Standard. */}}
{{- define "tcf.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "tcf.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/*
Neither probe asks the hub: an outage of it must not restart anything. Readiness does tell of it. Takes the
name of the port.
*/}}
{{- define "tcf.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: {{ . }}}
  periodSeconds: 1
  timeoutSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: {{ . }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: {{ . }}}
  periodSeconds: 2
  timeoutSeconds: 2
{{- end }}

{{/* Takes {selector, replicas}: one pod at least stays, and a pod that is not ready holds nothing up. */}}
{{- define "tcf.budget" -}}
minAvailable: 1
unhealthyPodEvictionPolicy: AlwaysAllow
selector:
  matchLabels:
    {{- . | nindent 4 }}
{{- end }}

{{- define "tcf.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- . | nindent 8 }}
{{- end }}

{{/* Where pods go; takes the values of a workload. */}}
{{- define "tcf.placement" -}}
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

{{/* Lets the ServiceAccount of a member be a worker of its federation; takes {root, member, selector}. */}}
{{- define "tcf.worker.rbac" }}
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
  {{- include "tcf.worker.rules" .member | nindent 2 }}
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
  - {kind: ServiceAccount, name: {{ .member.name | quote }}, namespace: {{ .root.Release.Namespace | quote }}}
{{- end }}
