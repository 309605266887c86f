import { basename } from 'node:path'
import { describe, expect, test } from 'vitest'
import { NOWHERE } from '../../../grafana/runbooks.ts'
import { configVariables } from '../../../runtime/config.ts'
import { listFiles, readText } from '../../architecture/repository.ts'
import { plain, variants } from '../../support/chart-values.ts'
import { hasHelm, lintChart, renderChart } from '../../support/helm.ts'

type Labels = Record<string, string>
interface Pod {
  metadata: { labels: Labels }
  spec: {
    automountServiceAccountToken: boolean
    enableServiceLinks: boolean
    terminationGracePeriodSeconds?: number
    securityContext: unknown
    initContainers?: Container[]
    containers: Container[]
    volumes: { name: string; projected?: { sources: { secret: { items: { path: string }[] } }[] } }[]
  }
}
interface Container {
  name: string
  image: string
  args?: string[]
  securityContext: unknown
  env: { name: string; value?: string }[]
  ports?: { name: string; containerPort: number }[]
  volumeMounts: { name: string; mountPath: string }[]
}
interface Manifest {
  kind: string
  data?: Record<string, string>
  metadata: { name: string; labels?: Labels; annotations?: Labels }
  spec: {
    replicas?: number
    template: Pod
    selector: Labels & { matchLabels?: Labels }
    podSelector: { matchLabels: Labels }
    ingress?: { from?: unknown[] }[]
    tls?: unknown
    rules?: unknown[]
    publishNotReadyAddresses?: boolean
    strategy?: { type: string }
    groups?: { rules: unknown[] }[]
  }
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
        for (const { securityContext } of [...(spec.initContainers ?? []), ...spec.containers]) {
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

    test('sequencers start after the workers, APIs after both, and each asks every process of the role that it waits for', async () => {
      const { of, pods } = await render(values)
      const waits = of('Deployment').map(({ metadata, spec }) => {
        const { initContainers = [], containers } = spec.template.spec
        expect(initContainers.map(({ image }) => image)).toEqual(initContainers.map(() => containers[0]?.image))
        return [metadata.name, initContainers.map(({ args }) => args?.join(' '))]
      })
      const wait = (role: string) => `operations/qflare.ts release wait http://fleet-${role}-operator:9464`
      expect(Object.fromEntries(waits)).toEqual({
        'fleet-worker': [],
        'fleet-sequencer': [wait('worker')],
        'fleet-api': [wait('worker'), wait('sequencer')],
      })
      for (const role of ['worker', 'sequencer']) {
        const service = of('Service').find(({ metadata }) => metadata.name === `fleet-${role}-operator`)
        expect(service?.spec).toMatchObject({ clusterIP: 'None', publishNotReadyAddresses: true })
        const found = pods.filter((pod) => selects(service?.spec.selector ?? { none: '' }, pod))
        expect(found.map((pod) => pod.metadata.labels['app.kubernetes.io/component'])).toEqual([role])
      }
      // The network lets them.
      const policies = JSON.stringify(of('NetworkPolicy').map(({ spec }) => spec))
      const release =
        '{"podSelector":{"matchLabels":{"app.kubernetes.io/instance":"fleet","app.kubernetes.io/name":"qflare"}}}'
      const port = '"ports":[{"port":9464,"protocol":"TCP"}]'
      expect(policies).toContain(`{${port},"to":[${release}]}`)
      expect(policies).toContain(`{"from":[${release}],${port}}`)
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

  test.each([
    ['with an ingress that ends TLS', { tls: [{ hosts: ['qflare.example'], secretName: 'edge-tls' }] }],
    ['with an ingress that passes TLS through', {}],
  ] as const)('%s, every path goes to the API as it is', async (name, expected) => {
    const [ingress, ...others] = (await render(variants[name])).of('Ingress')
    expect(others).toEqual([])
    expect(ingress?.spec).toMatchObject(expected)
    expect('tls' in (ingress?.spec ?? {})).toBe('tls' in expected)
    const service = { name: 'fleet-api', port: { name: 'api' } }
    const paths = [{ path: '/', pathType: 'Prefix', backend: { service } }]
    expect(ingress?.spec.rules).toEqual([{ host: 'qflare.example', http: { paths } }])
    expect(Object.keys(ingress?.metadata.annotations ?? {}).filter((key) => !key.endsWith('/ssl-passthrough'))).toEqual(
      [],
    )
  })

  test('clients are asked for certificates by the API alone, where it ends TLS', async () => {
    const asked = (await render(variants['with an ingress that passes TLS through']))
      .of('Deployment')
      .flatMap((deployment) => {
        const files = deployment.spec.template.spec.containers[0]?.env.filter(
          ({ name }) => name === 'QFLARE_TLS_CLIENT_CA_FILE',
        )
        return files?.map(({ value }) => [deployment.metadata.name, value])
      })
    expect(asked).toEqual([['fleet-api', '/run/secrets/tls/ca.crt']])
  })

  test('as it comes there is no ingress, and no dashboard', async () => {
    const { of } = await render(plain)
    expect([...of('Ingress'), ...of('ConfigMap')]).toEqual([])
  })

  test('every dashboard is in a ConfigMap that Grafana finds, with links to where somebody reads this repository', async () => {
    const maps = (await render(variants['with monitoring and narrow policies'])).of('ConfigMap')
    const found = Object.fromEntries(maps.flatMap(({ data = {} }) => Object.entries(data)))
    const expected = listFiles().filter((path) => path.startsWith('grafana/dashboards/'))
    expect(Object.keys(found).toSorted()).toEqual(expected.map((path) => basename(path)).toSorted())
    for (const path of expected) {
      const written = readText(path).replaceAll(NOWHERE, 'https://git.example/qflare/')
      expect(JSON.parse(found[basename(path)] ?? '')).toEqual(JSON.parse(written))
    }
    for (const { metadata } of maps) expect(metadata.labels).toMatchObject({ grafana_dashboard: '1' })
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
    [
      'an ingress without a name',
      { ...plain, ingress: { enabled: true, tlsSecret: 'edge-tls' } },
      'ingress.host is required',
    ],
    [
      'an ingress without TLS',
      { ...plain, ingress: { enabled: true, host: 'qflare.example' } },
      'ingress.tlsSecret is required',
    ],
    [
      'an ingress that would read what the API encrypts',
      { ...plain, api: { tlsSecret: 'api-tls' }, ingress: { enabled: true, host: 'qflare.example' } },
      'ssl-passthrough',
    ],
    [
      'certificates of clients that somebody else would have to ask for',
      { ...plain, api: { ...plain.api, clientCertificates: true } },
      'api.clientCertificates wants api.tlsSecret',
    ],
    ['links to nowhere', { ...plain, monitoring: { runbooks: 'docs' } }, 'runbooks'],
    ['a value that is misspelt', { ...plain, workers: {} }, 'workers'],
    ['an API that everybody reaches by mistake', { ...plain, networkPolicy: { apiFrom: [] } }, 'apiFrom'],
  ])('is refused with %s', async (_, values, message) => {
    await expect(renderChart(values)).rejects.toThrow(message)
  })
})
