#!/usr/bin/env node
import { runCommandLine } from '../client/command/run.ts'
import { entries } from './entries.ts'

process.exitCode = await runCommandLine(process.argv.slice(2), entries)
