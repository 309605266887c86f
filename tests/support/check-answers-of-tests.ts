import { afterEach } from 'vitest'
import { type CheckedAnswer, checkAnswers } from './check-answers.ts'

const wrong: CheckedAnswer[] = []
checkAnswers((answer) => {
  if (answer.problem !== undefined) wrong.push(answer)
})

afterEach(() => {
  const [first] = wrong.splice(0)
  if (first !== undefined) {
    throw new Error(`an answer is not as the OpenAPI document says: ${first.route} ${first.status}: ${first.problem}`)
  }
})
