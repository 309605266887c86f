import { existsSync } from 'node:fs'
import { type Browser, chromium, type LaunchOptions } from 'playwright-core'

const CHROMIUM = '/usr/bin/chromium'

/** Whether this machine has Debian's Chromium. In CI it has to: a test that is skipped there proves nothing. */
export const hasChromium = existsSync(CHROMIUM) || process.env.CI === 'true'

export const chromiumOptions: LaunchOptions = {
  executablePath: CHROMIUM,
  args: [
    // Chromium's sandbox does not run as root.
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
}

export function launchChromium(): Promise<Browser> {
  return chromium.launch(chromiumOptions)
}
