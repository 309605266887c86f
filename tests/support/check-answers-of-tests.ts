import { afterEach } from 'vitest'
import { type CheckedAnswer, checkAnswers } from './check-answers.ts'

const wrong: CheckedAnswer[] = []
checkAnswers((answer) => {
  if (answer.problem !== undefined) wrong.push(answer)
})

/** The first answer since the last look that is not as the document says. */
export function takeWrongAnswer(): CheckedAnswer | undefined {
  return wrong.splice(0)[0]
}

afterEach(() => {
  const first = takeWrongAnswer()
  if (first !== undefined) {
    throw new Error(`an answer is not as the OpenAPI document says: ${first.route} ${first.status}: ${first.problem}`)
  }
})
