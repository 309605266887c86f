// Loaded into the service by `--import`, with `--expose-gc`: answers what its memory is after a full collection.

process.on('message', (order) => {
  if (order !== 'memory') return
  // Before the collection: what the process holds of the machine while it works. After it: what it cannot let go of.
  const { rss } = process.memoryUsage()
  globalThis.gc?.()
  process.send?.({ rssBytes: rss, heapBytes: process.memoryUsage().heapUsed })
})
// The channel must not keep the service from ending.
process.channel?.unref()

export {}
