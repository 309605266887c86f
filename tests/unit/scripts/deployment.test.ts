import { describe, expect, test } from 'vitest'
import { configVariables } from '../../../runtime/config.ts'
import { listFiles, readText } from '../../architecture/repository.ts'

const compose = readText('docker-compose.yml')
const dockerfile = readText('deploy/Dockerfile')

describe('docker-compose.yml', () => {
  test('gives the service variables that exist', () => {
    const named = [...compose.matchAll(/^ +((?:QFLARE|DATABASE|REDIS)_[A-Z_]+):/gm)].map(([, name]) => name)
    expect(named.length).toBeGreaterThan(10)
    expect(named.filter((name) => !configVariables.includes(name ?? ''))).toEqual([])
  })

  test('mounts files and folders that are in the repository, read-only', () => {
    const files = listFiles()
    const mounted = [...compose.matchAll(/\.\/([a-z/._]+):(\/[^\s'"]+)/g)]
    expect(mounted.length).toBeGreaterThan(9)
    expect(mounted.filter(([, , target = '']) => !target.endsWith(':ro'))).toEqual([])
    const paths = mounted.map(([, path = '']) => path)
    expect(paths.filter((path) => !files.some((file) => `${file}/`.startsWith(`${path}/`)))).toEqual([])
  })

  test('each secret of a service is declared, and made by deploy/make-secrets.sh', () => {
    const declared = [...compose.matchAll(/^ {2}([a-z.-]+): \{ file: \.\/deploy\/secrets\/\1 \}$/gm)].map(
      ([, name]) => name,
    )
    const read = [...compose.matchAll(/\/run\/secrets\/([a-z.-]+)/g)].map(([, name]) => name)
    expect(read).toContain('grafana-password')
    expect(read.filter((name) => !declared.includes(name))).toEqual([])
    expect(readText('deploy/make-secrets.sh')).toContain('put grafana-password ')
  })

  test('each process of the service says whether it lives: the check of the image is off for migrations alone', () => {
    expect(compose.match(/^ {2}migrate:|^ {4}healthcheck: \{ disable: true \}/gm)).toEqual([
      '  migrate:',
      '    healthcheck: { disable: true }',
    ])
  })

  test('has no password in it, and its ports are for this machine alone', () => {
    expect(compose).not.toMatch(/PASSWORD: |:[^@/\s]+@/)
    const ports = [...compose.matchAll(/^ +ports: (.*)$/gm)].map(([, value]) => value)
    expect(ports).toEqual(["['127.0.0.1:8443:8443']", "['127.0.0.1:3000:3000']"])
  })

  test('each of its services is hardened: by the shared settings, or by those of another that has them', () => {
    const services = /^services:\n([\s\S]*?)^networks:/m.exec(compose)?.[1] ?? ''
    const names = [...services.matchAll(/^ {2}([a-z-]+):/gm)].map(([, name]) => name)
    const hardened = [...services.matchAll(/^ {2}([a-z-]+):.*\n {4}<<: \*(hardened|service|redis)$/gm)].map(
      ([, name]) => name,
    )
    expect(names.length).toBe(10)
    expect(hardened).toEqual(names)
  })
})

describe('deploy/Dockerfile', () => {
  test('copies what its .dockerignore lets through, and nothing else is let through', () => {
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.*)$/gm)].flatMap(([, words = '']) =>
      words.split(' ').slice(0, -1),
    )
    const allowed = [...readText('deploy/Dockerfile.dockerignore').matchAll(/^!(.*)$/gm)].map(([, path]) => path)
    expect(new Set(copied)).toEqual(new Set(allowed))
  })

  test('has the Node that everything is tested with, and runs as a user that is not root', () => {
    const { devDependencies } = JSON.parse(readText('package.json')) as { devDependencies: { node: string } }
    expect(dockerfile).toContain(`ARG NODE_IMAGE=node:${devDependencies.node}-slim\n`)
    expect(dockerfile).toMatch(/^USER node$/m)
  })
})

test('the units of systemd set variables that exist', () => {
  const units = listFiles().filter((path) => path.endsWith('.service'))
  expect(units.length).toBe(2)
  for (const unit of units) {
    const lines = readText(unit).match(/^Environment=.*$/gm) ?? []
    const named = [...lines.join(' ').matchAll(/((?:QFLARE|DATABASE|REDIS)_[A-Z_]+)=/g)].map(([, name]) => name)
    expect(named.length, unit).toBeGreaterThan(7)
    expect(
      named.filter((name) => !configVariables.includes(name ?? '')),
      unit,
    ).toEqual([])
  }
})
