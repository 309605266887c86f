import { type Figure, summarize } from '../figure.ts'
import { listVerifications } from './list-verifications.ts'

/** Of one verification: so many samples, each of as many calls as fill the time. */
const SAMPLES = 15
const SAMPLE_CPU_MS = 50

/** Each verification alone: CPU milliseconds, and how many a core does in a second. */
export function measureAttestation(): Figure[] {
  return listVerifications().flatMap(({ name, run, targetPerSecond }) => {
    const calls = callsIn(run, SAMPLE_CPU_MS)
    const samples = Array.from({ length: SAMPLES }, () => cpuMsOf(run, calls) / calls)
    const of = { part: 'attestation', name }
    const [target, targetMs] =
      targetPerSecond === undefined ? [{}, {}] : [{ target: targetPerSecond }, { target: 1000 / targetPerSecond }]
    return [
      summarize({ ...of, unit: 'ms', ...targetMs }, samples),
      summarize(
        { ...of, name: `${name}, rate`, unit: '/s', better: 'higher', ...target },
        samples.map((ms) => 1000 / ms),
      ),
    ]
  })
}

/** Warms up on the way. */
function callsIn(run: () => unknown, ms: number): number {
  let calls = 1
  while (cpuMsOf(run, calls) < ms) calls *= 2
  return calls
}

/** Of this process with all its threads, user and system: what others do on the machine is not in it. */
function cpuMsOf(run: () => unknown, calls: number): number {
  const before = process.cpuUsage()
  for (let call = 0; call < calls; call++) run()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}
