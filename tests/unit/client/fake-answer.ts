export interface Answer {
  status: number
  json: unknown
  headers?: Record<string, string>
}

export const requestId = '11111111-2222-4333-8444-555555555555'

export function refusal(status: number, code: string, more: object = {}): Answer {
  const json = { type: `/errors#${code}`, title: code, status, detail: `Refused: ${code}.`, code, requestId, ...more }
  return { status, json }
}
