// For `node --import`: a process of the service that a test starts. What is wrong stands in the run's file of answers.
import { checkAnswers } from './check-answers.ts'

checkAnswers(() => {})
