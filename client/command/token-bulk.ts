import { readFile } from 'node:fs/promises'
import type { PrincipalKind } from '../../protocol/enrollment.ts'
import { isAnswerLost, QflareError } from '../errors.ts'
import type { QflareOperator } from '../operator.ts'
import { CommandError, exitCodes } from './exit-codes.ts'
import { withProgress } from './progress.ts'
import { openTokenFile } from './token-file.ts'
import { formatOf, parseTokenOrders, type TokenOrder } from './token-orders.ts'

/** Of the bulk route (docs/api.md): items, and bytes with room to spare. */
const MAX_BATCH = 500
const MAX_BATCH_BYTES = 192 << 10

export interface BulkOrder {
  from: string
  out: string
  kind: PrincipalKind
  policyId: string | undefined
  ttlSeconds: number | undefined
  isContinued: boolean
}

/** Makes a token for each line of a file. Nothing is asked of the server before every line is checked. */
export async function createTokensOf(
  order: BulkOrder,
  openOperator: () => Promise<QflareOperator>,
): Promise<{ tokens: number; continuedAt: number }> {
  const { from, out, kind, policyId, ttlSeconds } = order
  const format = formatOf(out, '--out')
  const orders = parseTokenOrders(from, await readOrders(from), kind)
  const operator = await openOperator()
  await using file = await openTokenFile(out, orders, order.isContinued)
  await withProgress(async (report) => {
    let made = file.made
    for (const batch of toBatches(orders.slice(made))) {
      report(`${made.toLocaleString('en')} of ${orders.length.toLocaleString('en')} tokens`)
      const answers = await operator
        .createEnrollmentTokens(batch.map((one) => ({ ...one, policyId, ttlSeconds })))
        .catch((error: unknown) => {
          throw withRest(error, { made, batch: batch.length, of: orders.length, partial: file.partial })
        })
      if (answers.length !== batch.length)
        throw new QflareError('bad_answer', 'The answer has another number of tokens.')
      await file.append(batch.map((one, index) => ({ ...one, ...pick(answers[index]) }))).catch((error: unknown) => {
        throw withLoss(error, batch.length)
      })
      made += batch.length
    }
    await file.finish(format)
  })
  return { tokens: orders.length, continuedAt: file.made }
}

async function readOrders(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new CommandError(exitCodes.localState, `Cannot read ${path} (${error.code ?? error.message}).`)
  })
}

function pick(answer: { id: string; token: string; expiresAt: number } | undefined) {
  if (answer === undefined) throw new QflareError('bad_answer', 'The answer has fewer tokens than were asked for.')
  return { id: answer.id, token: answer.token, expiresAt: answer.expiresAt }
}

function toBatches(orders: readonly TokenOrder[]): TokenOrder[][] {
  const batches: TokenOrder[][] = []
  let sizeBytes = 0
  for (const order of orders) {
    const orderBytes = Buffer.byteLength(JSON.stringify(order)) + 32
    const batch = batches.at(-1)
    if (batch === undefined || batch.length === MAX_BATCH || sizeBytes + orderBytes > MAX_BATCH_BYTES) {
      batches.push([order])
      sizeBytes = orderBytes
    } else {
      batch.push(order)
      sizeBytes += orderBytes
    }
  }
  return batches
}

/** The error of a disk, and what became of the tokens that it did not take. */
function withLoss(error: unknown, batch: number): unknown {
  if (!(error instanceof CommandError)) return error
  const lost = `${batch} tokens are made, and some or all of them nobody holds: qflare token list --status open shows them.`
  return new CommandError(error.exitCode, `${error.message} ${lost} --continue goes on from what is there.`, error.code)
}

/** The error, and what became of the tokens before it. */
function withRest(error: unknown, at: { made: number; batch: number; of: number; partial: string }): unknown {
  if (!(error instanceof QflareError)) return error
  const { status, requestId, retryAfterSeconds } = error
  const kept = `${at.made} of ${at.of} tokens are in ${at.partial}: --continue goes on from there.`
  // They are good for as long as any other, but nobody has them.
  const lost = `The server may have made ${at.batch} more, which nobody holds: qflare token list --status open shows them.`
  const message = [error.message, kept, ...(isAnswerLost(error) ? [lost] : [])].join(' ')
  return new QflareError(error.code, message, { status, requestId, retryAfterSeconds, cause: error })
}
