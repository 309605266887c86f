import { describe, expect, test } from 'vitest'
import { configVariables } from '../../../runtime/config.ts'
import { readText } from '../../architecture/repository.ts'
import { hasHelm, lintChart, renderChart } from '../../support/helm.ts'

type Labels = Record<string, string>
interface Pod {
  metadata: { labels: Labels }
  spec: {
    automountServiceAccountToken: boolean
    enableServiceLinks: boolean
    terminationGracePeriodSeconds?: number
    securityContext: unknown
    containers: Container[]
    volumes: { name: string; projected?: { sources: { secret: { items: { path: string }[] } }[] } }[]
  }
}
interface Container {
  securityContext: unknown
  env: { name: string; value?: string }[]
  ports?: { name: string; containerPort: number }[]
  volumeMounts: { name: string; mountPath: string }[]
}
interface Manifest {
  kind: string
  metadata: { name: string; labels?: Labels; annotations?: Labels }
  spec: {
    replicas?: number
    template: Pod
    selector: Labels & { matchLabels?: Labels }
    podSelector: { matchLabels: Labels }
    ingress?: { from?: unknown[] }[]
    strategy?: { type: string }
    groups?: { rules: unknown[] }[]
  }
}

const plain = { trustDomain: 'fleet.example', api: { trustProxy: '10.0.0.0/8' } }
const variants = {
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
    monitoring: { serviceMonitor: true, rules: true, labels: { release: 'kube-prometheus-stack' } },
  },
}

async function render(values: unknown) {
  const manifests = (await renderChart(values)) as Manifest[]
  const of = (kind: string) => manifests.filter((manifest) => manifest.kind === kind)
  const workloads = [...of('Deployment'), ...of('Job')]
  return { manifests, of, workloads, pods: workloads.map(({ spec }) => spec.template) }
}

const selects = (selector: Labels, { metadata }: Pod) =>
  Object.entries(selector).every(([name, value]) => metadata.labels[name] === value)

describe.skipIf(!hasHelm)('the chart, rendered: only with `helm` on the PATH', () => {
  describe.each(Object.entries(variants))('%s', (_, values) => {
    test('passes the linter of Helm', async () => {
      await lintChart(values)
    })

    test('no pod has rights that it does not need', async () => {
      const { pods } = await render(values)
      expect(pods.length).toBe(4)
      for (const { spec } of pods) {
        expect(spec).toMatchObject({
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          securityContext: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } },
        })
        for (const { securityContext } of spec.containers) {
          expect(securityContext).toEqual({
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          })
        }
      }
    })

    test('each process is asked at its operator port whether it lives and is ready', async () => {
      const deployments = (await render(values)).of('Deployment')
      expect(deployments.length).toBe(3)
      for (const { spec } of deployments) {
        const [container] = spec.template.spec.containers
        expect(container?.ports).toContainEqual({ name: 'operator', containerPort: 9464 })
        expect(container).toMatchObject({
          startupProbe: { httpGet: { path: '/live', port: 'operator' } },
          livenessProbe: { httpGet: { path: '/live', port: 'operator' } },
          readinessProbe: { httpGet: { path: '/ready', port: 'operator' } },
        })
      }
    })

    test('secrets are files that are mounted, and the login of migrations is in the Job alone', async () => {
      for (const { kind, spec } of (await render(values)).workloads) {
        const { containers, volumes } = spec.template.spec
        const sources = volumes.find(({ name }) => name === 'secrets')?.projected?.sources ?? []
        const files = sources.flatMap(({ secret }) => secret.items.map(({ path }) => `/run/secrets/qflare/${path}`))
        expect(files.includes('/run/secrets/qflare/migrator-url')).toBe(kind === 'Job')
        for (const { env, volumeMounts } of containers) {
          const names = env.map(({ name }) => name)
          expect(new Set(names).size).toBe(names.length)
          expect(names.filter((name) => name !== 'NODE_EXTRA_CA_CERTS' && !configVariables.includes(name))).toEqual([])
          expect(env.filter(({ value }) => value === undefined || value.includes('://'))).toEqual([])
          const mounted = env.flatMap(({ value }) => (value?.startsWith('/run/secrets/qflare/') ? [value] : []))
          expect(mounted.toSorted()).toEqual(files.toSorted())
          expect(volumeMounts.map(({ name }) => name).toSorted()).toEqual(volumes.map(({ name }) => name).toSorted())
        }
      }
    })

    test('selectors find the pods that they are meant for, and no others', async () => {
      const { of, pods } = await render(values)
      const found = (selector: Labels) =>
        pods.filter((pod) => selects(selector, pod)).map((pod) => pod.metadata.labels['app.kubernetes.io/component'])
      for (const { spec, metadata } of [...of('Deployment'), ...of('PodDisruptionBudget')]) {
        expect(found(spec.selector.matchLabels ?? {})).toEqual([metadata.name.replace('fleet-', '')])
      }
      const services = Object.fromEntries(
        of('Service').map(({ metadata, spec }) => [metadata.name, found(spec.selector)]),
      )
      expect(services['fleet-api']).toEqual(['api'])
      expect(services['fleet-operator']).toEqual(expect.arrayContaining(['api', 'worker', 'sequencer']))
      const [monitor] = of('ServiceMonitor')
      const watched = of('Service').filter(({ metadata }) =>
        Object.entries(monitor?.spec.selector.matchLabels ?? { none: '' }).every(
          ([name, value]) => metadata.labels?.[name] === value,
        ),
      )
      expect(watched.map(({ metadata }) => metadata.name)).toEqual(monitor === undefined ? [] : ['fleet-operator'])
    })

    test('a network policy closes each pod, and whoever is let in is named', async () => {
      const { of, pods } = await render(values)
      const policies = of('NetworkPolicy')
      expect(policies.length).toBe(3)
      const closing = policies.find(({ metadata }) => metadata.name === 'fleet')
      expect(closing?.spec).toMatchObject({ policyTypes: ['Ingress', 'Egress'] })
      expect(closing?.spec.ingress).toBeUndefined()
      expect(pods.filter((pod) => !selects(closing?.spec.podSelector.matchLabels ?? { none: '' }, pod))).toEqual([])
      for (const { from = [] } of policies.flatMap(({ spec }) => spec.ingress ?? [])) {
        expect(from.length).toBeGreaterThan(0)
      }
    })

    test('an API has thirty seconds more than it serves on', async () => {
      const api = (await render(values)).of('Deployment').find(({ metadata }) => metadata.name === 'fleet-api')
      const drain = api?.spec.template.spec.containers[0]?.env.find(({ name }) => name === 'QFLARE_DRAIN_SECONDS')
      expect(api?.spec.template.spec.terminationGracePeriodSeconds).toBe(Number(drain?.value) + 30)
    })
  })

  test('what scales the API and the chart do not both say how many there are', async () => {
    const scaled = await render(variants['as it comes'])
    const fixed = await render(variants['with TLS of its own, one sequencer and no scaling'])
    expect(scaled.of('HorizontalPodAutoscaler').length).toBe(1)
    expect(scaled.of('Deployment')[0]?.spec.replicas).toBeUndefined()
    expect(fixed.of('HorizontalPodAutoscaler')).toEqual([])
    expect(fixed.of('Deployment').map(({ spec }) => spec.replicas)).toEqual([2, 2, 1])
    expect(fixed.of('Deployment').map(({ spec }) => spec.strategy?.type)).toEqual([
      'RollingUpdate',
      'RollingUpdate',
      'Recreate',
    ])
  })

  test('every rule of prometheus/ is in a PrometheusRule', async () => {
    const rules = (await render(variants['with monitoring and narrow policies'])).of('PrometheusRule')
    const count = rules.flatMap(({ spec }) => (spec.groups ?? []).flatMap((group) => group.rules)).length
    const texts = ['alerts', 'recording'].map((name) => readText(`prometheus/rules/${name}.yml`)).join('\n')
    expect(count).toBe(texts.match(/- (alert|record): /g)?.length)
  })

  test.each([
    ['no trust domain', { api: { trustProxy: '10.0.0.0/8' } }, 'trustDomain is required'],
    ['nobody who ends TLS', { trustDomain: 'fleet.example' }, 'api.trustProxy or api.tlsSecret is required'],
    [
      'two sequencers on a volume for one',
      { ...plain, sequencer: { checkpoint: { accessMode: 'ReadWriteOnce' } } },
      'need sequencer.checkpoint.accessMode ReadWriteMany',
    ],
    [
      'a root key in the environment',
      { ...plain, settings: { QFLARE_ROOT_KEY: 'x' } },
      "invalid propertyName 'QFLARE_ROOT_KEY'",
    ],
    ['a value that is misspelt', { ...plain, workers: {} }, 'workers'],
    ['an API that everybody reaches by mistake', { ...plain, networkPolicy: { apiFrom: [] } }, 'apiFrom'],
  ])('is refused with %s', async (_, values, message) => {
    await expect(renderChart(values)).rejects.toThrow(message)
  })
})
