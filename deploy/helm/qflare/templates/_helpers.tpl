{{- define "qflare.name" -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "qflare.selector" -}}
app.kubernetes.io/name: qflare
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "qflare.labels" -}}
{{ include "qflare.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "qflare.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- /* Of every pod, the migrations' too. */ -}}
{{- define "qflare.pod" -}}
automountServiceAccountToken: false
# Its variables would begin with QFLARE_ where the release is named so.
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  # Secrets are root's and readable by this group, which the service takes.
  fsGroup: 1000
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "qflare.container" -}}
image: {{ include "qflare.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}

{{- define "qflare.environment" -}}
- { name: NODE_EXTRA_CA_CERTS, value: /run/secrets/qflare/ca.crt }
- { name: DATABASE_URL_FILE, value: /run/secrets/qflare/api-url }
- { name: QFLARE_DATABASE_URL_AUDITOR_FILE, value: /run/secrets/qflare/auditor-url }
- { name: QFLARE_DATABASE_URL_WORKER_FILE, value: /run/secrets/qflare/worker-url }
- { name: QFLARE_DATABASE_URL_SEQUENCER_FILE, value: /run/secrets/qflare/sequencer-url }
- { name: REDIS_URL_FILE, value: /run/secrets/qflare/redis-queues-url }
- { name: QFLARE_TEMPORAL_REDIS_URL_FILE, value: /run/secrets/qflare/redis-temporal-url }
- { name: QFLARE_ROOT_KEY_FILE, value: /run/secrets/qflare/root-key }
- name: QFLARE_TRUST_DOMAIN
  value: {{ required "trustDomain is required: it cannot change once devices have enrolled." .Values.trustDomain | quote }}
{{- range $name, $value := .Values.settings }}
- { name: {{ $name }}, value: {{ $value | quote }} }
{{- end }}
{{- end }}

{{- define "qflare.mounts" -}}
- { name: secrets, mountPath: /run/secrets/qflare, readOnly: true }
- { name: state, mountPath: /var/lib/qflare }
- { name: tmp, mountPath: /tmp }
{{- end }}

{{- define "qflare.secretSources" -}}
- secret:
    name: {{ .Values.secrets.stores }}
    items:
      {{- range list "ca.crt" "api-url" "auditor-url" "worker-url" "sequencer-url" "redis-queues-url" "redis-temporal-url" }}
      - { key: {{ . }}, path: {{ . }} }
      {{- end }}
- secret:
    name: {{ .Values.secrets.rootKey }}
    items: [{ key: root-key, path: root-key }]
{{- end }}

{{- /* What is written is the admin token, and nothing that has to be kept: in memory, and gone with the pod. */ -}}
{{- define "qflare.scratch" -}}
- name: state
  emptyDir: { medium: Memory, sizeLimit: 16Mi }
- name: tmp
  emptyDir: { medium: Memory, sizeLimit: 64Mi }
{{- end }}
