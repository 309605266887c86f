import { defineConfig } from 'vitest/config'
import { slowFiles } from './tests/slow-files.ts'

const integration = {
  globalSetup: ['tests/support/answers-setup.ts', 'tests/support/global-setup.ts'],
  setupFiles: ['tests/support/check-answers-of-tests.ts'],
  testTimeout: 60_000,
  hookTimeout: 60_000,
}

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['tests/unit/**/*.test.ts', 'tests/vectors/**/*.test.ts'],
          exclude: slowFiles,
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'architecture',
          include: ['tests/architecture/**/*.test.ts'],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['tests/integration/**/*.test.ts'],
          exclude: slowFiles,
          ...integration,
        },
      },
      { test: { name: 'slow', include: slowFiles, ...integration } },
      {
        test: {
          name: 'reliability',
          include: ['tests/reliability/**/*.test.ts'],
          globalSetup: ['tests/support/global-setup.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
})
