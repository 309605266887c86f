import { read } from 'node:fs'

// Hands over what FUSE asks, in a process of its own: a read of it waits where no thread can be ended. It ends with whoever started it.
const FUSE = 3
const buffer = Buffer.alloc(64 * 1024)
const end = () => process.kill(process.pid, 'SIGKILL')

function next(): void {
  read(FUSE, buffer, 0, buffer.length, null, (error, length) => {
    if (error === null) process.stdout.write(Uint8Array.from(buffer.subarray(0, length)), next)
    // ENOENT, EINTR: whoever asked has gone. ENODEV: it is unmounted.
    else if (error.code === 'ENOENT' || error.code === 'EINTR') next()
    else end()
  })
}

process.stdin.on('end', end).resume()
next()
