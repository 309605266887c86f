import { z } from 'zod'
import { readText } from '../architecture/repository.ts'

const steps = z.array(z.object({ value: z.number().nullable(), color: z.string() }))
const panel = z.object({
  id: z.number(),
  type: z.string(),
  title: z.string(),
  description: z.string().default(''),
  gridPos: z.object({ x: z.number(), y: z.number(), w: z.number(), h: z.number() }),
  datasource: z.object({ type: z.string(), uid: z.string() }).optional(),
  fieldConfig: z.object({ defaults: z.object({ unit: z.string(), thresholds: z.object({ steps }) }) }).optional(),
  links: z.array(z.object({ title: z.string(), url: z.string() })).default([]),
  targets: z.array(z.object({ refId: z.string(), expr: z.string(), legendFormat: z.string() })).default([]),
})
const dashboard = z.object({
  uid: z.string(),
  title: z.string(),
  schemaVersion: z.number(),
  panels: z.array(panel),
  templating: z.object({
    list: z.array(
      z.object({
        name: z.string(),
        type: z.string(),
        definition: z.string().optional(),
        hide: z.number().optional(),
        /** The value of a constant. */
        query: z.unknown().optional(),
      }),
    ),
  }),
  annotations: z.object({ list: z.array(z.object({ name: z.string(), expr: z.string() })) }),
})

export type WrittenPanel = z.infer<typeof panel>
export type WrittenDashboard = z.infer<typeof dashboard>

/** As Grafana reads it, whatever wrote it. */
export function readDashboard(path: string): WrittenDashboard {
  return dashboard.parse(JSON.parse(readText(path)))
}

/** The panels that show numbers. */
export function panelsOf({ panels }: WrittenDashboard): WrittenPanel[] {
  return panels.filter(({ type }) => type !== 'row')
}

/** The panels of its first row, which says whether it is well. */
export function firstRowOf({ panels }: WrittenDashboard): WrittenPanel[] {
  const next = panels.findIndex(({ type }, index) => index > 0 && type === 'row')
  return panels.slice(1, next === -1 ? undefined : next)
}

/** As Grafana sends an expression when All is chosen, and its window for rates is this. */
export function fillIn(expression: string, known: { jobs: string[]; instances: string[]; window: string }): string {
  const oneOf = (values: string[]) => `(${values.map((value) => value.replaceAll('.', '\\\\.')).join('|')})`
  return expression
    .replaceAll('$job', oneOf(known.jobs))
    .replaceAll('$instance', oneOf(known.instances))
    .replaceAll('$__rate_interval', known.window)
}

/** What a panel shows a number as: the colour of the highest step that it reaches. */
export function colourOf({ fieldConfig }: WrittenPanel, value: number): string | undefined {
  const reached = fieldConfig?.defaults.thresholds.steps.filter((step) => step.value === null || value >= step.value)
  return reached?.at(-1)?.color
}
