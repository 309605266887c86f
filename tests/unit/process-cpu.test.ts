import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, expect, test } from 'vitest'
import { readCpuMs, startCpuMeter } from '../../bench/process-cpu.ts'

// The children spend CPU time, not wall time, so that a busy machine changes nothing but how long this takes.
const BURN_MS = 300
// The two ticks that readCpuMs may be off, and what a child does besides: its start, its message, its timer.
const TOLERANCE_MS = 150
const BURN = `
  const burn = (ms) => { const from = process.cpuUsage(); for (;;) {
    const { user, system } = process.cpuUsage(from); if (user + system >= ms * 1000) return } }
  const total = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1000 }
  setInterval(() => {}, 60_000)`

const children: ChildProcess[] = []

afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }
})

async function startChild(script: string): Promise<{ pid: number; ask: (message: string) => Promise<number> }> {
  const child = spawn(process.execPath, ['-e', `${BURN}\n${script}\nprocess.send(0)`], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  children.push(child)
  await once(child, 'message')
  const ask = async (message: string): Promise<number> => {
    const answered = once(child, 'message')
    child.send(message)
    const [answer] = await answered
    return Number(answer)
  }
  return { pid: child.pid ?? 0, ask }
}

test('a process has spent what it says itself that it has spent', async () => {
  const { pid, ask } = await startChild(`process.on('message', () => { burn(${BURN_MS}); process.send(total()) })`)
  const ownAnswer = await ask('burn')
  expect(ownAnswer).toBeGreaterThanOrEqual(BURN_MS)
  expect(Math.abs(readCpuMs(pid) - ownAnswer)).toBeLessThan(TOLERANCE_MS)
})

test('a meter counts what a process burns while it runs, and nothing for an idle one', async () => {
  const busy = await startChild(`burn(${BURN_MS}); process.on('message', () => { burn(${BURN_MS}); process.send(0) })`)
  const idle = await startChild(`burn(${BURN_MS})`)
  const stopBusy = startCpuMeter([busy.pid])
  const stopIdle = startCpuMeter([idle.pid])
  await busy.ask('burn')
  const busyMs = stopBusy()
  expect(busyMs).toBeGreaterThan(BURN_MS - 20)
  expect(busyMs).toBeLessThan(BURN_MS + TOLERANCE_MS)
  expect(stopIdle()).toBeLessThan(TOLERANCE_MS)
})

test('children count only when they are asked for, alive or reaped, and each of them once', async () => {
  const { pid, ask } = await startChild(`
    const { spawn } = require('node:child_process')
    const script = ${JSON.stringify(`${BURN}\nburn(${BURN_MS}); process.send(0); process.on('disconnect', () => process.exit())`)}
    let child
    process.on('message', (message) => {
      if (message === 'end') return child.once('exit', () => process.send(0)).disconnect()
      child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
      child.once('message', () => process.send(child.pid))
    })`)
  const stopAlone = startCpuMeter([pid])
  const stopFamily = startCpuMeter([pid], true)
  const childPid = await ask('start')
  const stopBoth = startCpuMeter([pid, childPid], true)
  const childMs = readCpuMs(childPid)
  expect(childMs).toBeGreaterThanOrEqual(BURN_MS - 20)
  expect(stopAlone()).toBeLessThan(TOLERANCE_MS)
  expect(stopFamily() - childMs - stopAlone()).toBeLessThan(TOLERANCE_MS)
  expect(stopBoth()).toBeLessThan(TOLERANCE_MS)

  await ask('end')
  expect(() => readCpuMs(childPid)).toThrow(`there is no process ${childPid}`)
  expect(stopFamily()).toBeGreaterThanOrEqual(childMs - 20)
  expect(stopFamily() - childMs - stopAlone()).toBeLessThan(TOLERANCE_MS)
})
