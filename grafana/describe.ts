/** A number from which on, or with `below` under which, a panel turns yellow (warn) and red (bad). */
export interface Steps {
  warn?: number
  bad?: number
  below?: boolean
}

export interface Query {
  expr: string
  /** Grafana's pattern, as in `{{result}}`. */
  legend: string
}

export interface Panel {
  /** Given once in its dashboard and never again: alerts name it. */
  id: number
  title: string
  look: 'stat' | 'lines' | 'stack'
  /** Grafana's name of the unit. */
  unit: string
  /** Of 24 columns. */
  width: number
  /** Those that watch what it shows: their runbooks are a click away. */
  alerts: readonly string[]
  /** What somebody sees who has nothing to do. */
  normal: string
  /** What to do when it is not so. */
  otherwise: string
  steps: Steps
  /** Said in the place of a number that stands for something else. */
  words: Readonly<Record<number, string>>
  queries: readonly Query[]
}

export interface Section {
  title: string
  panels: readonly Panel[]
}

export interface Dashboard {
  /** Part of its address, and of its file's name. */
  uid: string
  title: string
  description: string
  sections: readonly Section[]
}

type Told = Pick<Panel, 'id' | 'title' | 'unit' | 'normal' | 'otherwise'> & Partial<Panel>

/** One number as of now, in the colour of what it means. */
export function stat(panel: Omit<Told, 'queries'>, expr: string): Panel {
  return { ...common, width: 3, ...panel, look: 'stat', queries: [{ expr, legend: panel.title }] }
}

/** How numbers went. */
export function lines(panel: Omit<Told, 'queries'>, ...queries: readonly Query[]): Panel {
  return { ...common, width: 12, ...panel, look: 'lines', queries }
}

/** Parts of a whole, on top of each other. */
export function stack(panel: Omit<Told, 'queries'>, ...queries: readonly Query[]): Panel {
  return { ...lines(panel, ...queries), look: 'stack' }
}

const common = { steps: {}, words: {}, alerts: [] }
