import { createInterface } from 'node:readline/promises'
import { CommandError, exitCodes } from './exit-codes.ts'
import { printable } from './print.ts'

export const yesFlag = {
  yes: { type: 'boolean', help: 'do not ask; where nobody can answer, nobody is asked' },
} as const

/** Whether somebody sits there who can answer. */
function isSomeoneThere(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY
}

/**
 * Asks before what cannot be undone, on a terminal only. `question` is made when it is needed. Exit code 1 when the answer is
 * anything but yes.
 */
export async function confirm(yes: boolean | undefined, question: () => Promise<string>): Promise<void> {
  if (yes === true || !isSomeoneThere()) return
  const reader = createInterface({ input: process.stdin, output: process.stderr })
  try {
    // On the end of input (ctrl-D) the question would otherwise never be answered.
    const closed = new Promise<string>((resolve) => reader.once('close', () => resolve('')))
    const answer = await Promise.race([reader.question(`${printable(await question())} [y/N] `), closed])
    if (!/^y(es)?$/i.test(answer.trim()))
      throw new CommandError(exitCodes.refused, 'Nothing was changed.', 'not_confirmed')
  } finally {
    reader.close()
  }
}
