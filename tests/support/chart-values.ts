// Values of the chart for Kubernetes, as its users have them.

/** The least that it takes. */
export const plain = { trustDomain: 'fleet.example', api: { trustProxy: '10.0.0.0/8' } }
export const variants = {
  'as it comes': plain,
  'with TLS of its own, one sequencer and no scaling': {
    trustDomain: 'fleet.example',
    settings: { QFLARE_LOG_LEVEL: 'warn' },
    image: { digest: `sha256:${'0'.repeat(64)}`, pullSecrets: [{ name: 'registry' }] },
    api: { tlsSecret: 'api-tls', drainSeconds: 60, autoscaling: { enabled: false } },
    sequencer: { replicas: 1, checkpoint: { accessMode: 'ReadWriteOnce', storageClass: 'local' } },
  },
  'with monitoring and narrow policies': {
    ...plain,
    networkPolicy: {
      postgresql: { port: 6432, to: [{ ipBlock: { cidr: '192.0.2.1/32' } }] },
      extraEgress: [{ ports: [{ protocol: 'TCP', port: 443 }] }],
    },
    monitoring: {
      serviceMonitor: true,
      rules: true,
      labels: { release: 'kube-prometheus-stack' },
      dashboards: true,
      runbooks: 'https://git.example/qflare/',
    },
  },
  'with an ingress that ends TLS': {
    ...plain,
    ingress: { enabled: true, className: 'haproxy', host: 'qflare.example', tlsSecret: 'edge-tls' },
  },
  'with an ingress that passes TLS through': {
    trustDomain: 'fleet.example',
    api: { tlsSecret: 'api-tls', clientCertificates: true },
    ingress: { enabled: true, host: 'qflare.example', annotations: { 'haproxy.org/ssl-passthrough': 'true' } },
  },
}
