#!/usr/bin/env node
import { runCommandLine } from '../client/command/run.ts'
import { entries } from './entries.ts'

process.exitCode = await runCommandLine(process.argv.slice(2), entries)
// What doctor gave up waiting for holds nobody up: this ends the process only where something else keeps it.
setTimeout(() => process.exit(), 1_000).unref()
