// The page with which an auditor verifies files of the audit log: built into one file, which can send nothing anywhere.
import './without-eval.ts'
import { createPortablePrimitives } from '../../protocol/primitives/portable.ts'
import {
  formatTime,
  printable,
  reportRows,
  showEvents,
  showParticipants,
  showRows,
  toHex,
  verdictOf,
} from './show-report.ts'
import { readKeys, UnusableFile, verifyFiles } from './verify-files.ts'

const crypto = createPortablePrimitives()
const form = find('form', HTMLFormElement)
const keyInput = find('keys', HTMLInputElement)
const fileInput = find('files', HTMLInputElement)
const witnessInput = find('witnesses', HTMLInputElement)
const pinInput = find('pin', HTMLInputElement)
const queryInput = find('query', HTMLInputElement)
const verdict = find('verdict', HTMLElement)
const progress = find('progress', HTMLProgressElement)
const report = find('report', HTMLElement)
let running = new AbortController()

function find<T extends HTMLElement>(id: string, kind: abstract new () => T): T {
  const element = document.getElementById(id)
  if (element instanceof kind) return element
  throw new Error(`The page has no ${id}.`)
}

/** What was said of other files must not stand beside these. */
function clear(): AbortSignal {
  running.abort()
  running = new AbortController()
  report.hidden = true
  progress.hidden = true
  say('', 'waiting')
  return running.signal
}

function say(text: string, state: 'waiting' | 'good' | 'bad'): void {
  verdict.textContent = printable(text)
  verdict.className = state
}

const { port1, port2 } = new MessageChannel()
/** Lets the page answer to its person. Unlike a timer it is not slowed down in a tab that nobody looks at. */
function nextTask(): Promise<void> {
  return new Promise((done) => {
    port1.onmessage = () => done()
    port2.postMessage(undefined)
  })
}

async function verify(signal: AbortSignal): Promise<void> {
  const [keyFiles, files, witnessFiles] = [keyInput, fileInput, witnessInput].map(({ files: chosen }) => [
    ...(chosen ?? []),
  ])
  if (keyFiles === undefined || files === undefined || witnessFiles === undefined) return
  const keys = { log: await readKeys(crypto, keyFiles), witnesses: await readKeys(crypto, witnessFiles) }
  if (keys.log.length === 0) throw new UnusableFile('The key file holds no key.')
  const own = keys.witnesses.find(({ name }) => keys.log.some((key) => key.name === name))
  if (own !== undefined) throw new UnusableFile(`${own.name} is the log itself, and no witness of it.`)
  const query = queryInput.value.trim()
  const rootPin = pinInput.value.trim() === '' ? undefined : pinInput.value.trim()
  const onProgress = async ({ done, total }: { done: number; total: number | undefined }) => {
    if (total !== undefined && total > 0) progress.value = done / total
    await nextTask()
  }
  progress.value = 0
  progress.hidden = false
  say('Verifying …', 'waiting')
  const found = await verifyFiles(crypto, files, { keys, rootPin, query, signal, onProgress })
  signal.throwIfAborted()
  const hashed = await Promise.all(keyFiles.map(async (file) => [file.name, await file.arrayBuffer()] as const))
  showRows(find('facts', HTMLTableElement), [
    ...reportRows(found, keys),
    ...hashed.map(
      ([name, bytes]) => ['Key file', `${name}, SHA-256 ${toHex(crypto.sha256(new Uint8Array(bytes)))}`] as const,
    ),
    ['Files', files.map(({ name, size }) => `${name} (${size.toLocaleString('en')} bytes)`).join(', ')],
    ['Checked at', `${formatTime(Date.now())}, by this computer's clock`],
  ])
  const isVerified = found.problem === undefined
  for (const [id, isShown] of [
    ['proof-says', isVerified && found.entries === undefined && found.round === undefined],
    ['round-says', isVerified && found.round !== undefined],
    ['participants', isVerified && found.round !== undefined],
    ['export-says', isVerified && found.entries !== undefined],
    ['not-proven', isVerified],
    ['next-steps', !isVerified],
    // What is not verified is not shown as if it were.
    ['events', isVerified],
  ] as const) {
    find(id, HTMLElement).hidden = !isShown
  }
  showParticipants(find('participants', HTMLElement), found, query)
  showEvents(find('events', HTMLElement), found, query)
  report.hidden = false
  say(verdictOf(found), isVerified ? 'good' : 'bad')
}

async function start(): Promise<void> {
  const signal = clear()
  try {
    await verify(signal)
  } catch (error) {
    if (signal.aborted) return
    // A file that was moved or written to meanwhile, too.
    say(`Nothing was verified. ${error instanceof Error ? error.message : String(error)}`, 'bad')
  } finally {
    if (!signal.aborted) progress.hidden = true
  }
}

form.addEventListener('submit', (event) => {
  event.preventDefault()
  void start()
})
form.addEventListener('input', clear)
// A file that is dropped beside a field would be opened in place of this page.
for (const type of ['dragover', 'drop']) document.addEventListener(type, (event) => event.preventDefault())
for (const input of [keyInput, fileInput, witnessInput]) {
  input.closest('label')?.addEventListener('drop', (event) => {
    if (event.dataTransfer === null) return
    input.files = event.dataTransfer.files
    clear()
  })
}
