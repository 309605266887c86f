// For `node --import`: a machine whose clocks go forward by TEST_CLOCK_STEP_MS with every SIGUSR2, all of them alike, as if so much
// time had passed. Timers run as they do.

const step = Number(process.env['TEST_CLOCK_STEP_MS'])
let passed = 0
process.on('SIGUSR2', () => {
  passed += step
})

const monotonic = performance.now.bind(performance)
const wall = Date.now
performance.now = () => monotonic() + passed
Date.now = () => wall() + passed
