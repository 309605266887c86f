// A page that is a device: enrols once, keeps its identity in IndexedDB, and shows the fingerprint of its key.
// It is served beside qflare.js, which `npm run build` leaves in dist/browser; the service must allow the page's origin
// (QFLARE_CORS_ORIGINS).
import { choosePrimitives, createIndexedDbStore, enrollDevice, openDevice } from './qflare.js'

const form = document.querySelector('#enrollment')
const output = document.querySelector('#status')
const store = createIndexedDbStore('edge-1')

/** As `qflare key` shows it: the first 16 bytes of the key's SHA3-256. */
async function fingerprintOf(key) {
  const { hash256 } = await choosePrimitives()
  return Array.from(hash256(key).subarray(0, 16), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

async function show(device) {
  const { deviceId, session } = await device.status()
  if (session === undefined) return
  const { sessionId, epoch, key } = await device.key('encryption')
  output.value = JSON.stringify({ deviceId, sessionId, epoch, fingerprint: await fingerprintOf(key) }, null, 2)
}

async function run(device) {
  form.hidden = true
  // A browser may clear what it keeps for a page unless the page asks: the device would have to enrol again.
  await navigator.storage.persist()
  await show(device)
  await device.keepFresh({
    signal: new AbortController().signal,
    onExchange: () => show(device),
    onError(error, retryInMs) {
      output.value = `${error.code}: ${error.message} Again in ${Math.ceil(retryInMs / 1000)} s.`
    },
  })
}

async function enroll() {
  const { url, token } = Object.fromEntries(new FormData(form))
  return enrollDevice({ url, token, name: 'edge-1', store })
}

/** A device runs until its page is closed. */
async function start(open) {
  try {
    await run(await open())
  } catch (error) {
    form.hidden &&= error.code !== 'not_enrolled'
    output.value = error.code === 'not_enrolled' ? 'This browser is no device yet.' : `${error.code}: ${error.message}`
  }
}

form.addEventListener('submit', (event) => {
  event.preventDefault()
  void start(enroll)
})
await start(() => openDevice({ store }))
