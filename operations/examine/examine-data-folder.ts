import type { Stats } from 'node:fs'
import { access, constants, stat } from 'node:fs/promises'
import { examineDisk } from './examine-disk.ts'
import { errorText, type Finding, findingsOf } from './finding.ts'

const { ok, warning, problem, unseen } = findingsOf('data folder')

/** Whether it is there, whose it is, who else may read it, and how much room is left. `facts` is undefined without it. */
export async function examineDataFolder(folder: string): Promise<{ findings: Finding[]; facts: Stats | undefined }> {
  let facts: Stats
  try {
    facts = await stat(folder)
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    const found = isMissing
      ? unseen(`${folder} does not exist`, 'The first start makes it. Or is it another one: --data-dir FOLDER?')
      : problem(`${folder} cannot be read (${errorText(error)})`, 'Run this as the user of the service, or as root.')
    return { findings: [found], facts: undefined }
  }
  if (!facts.isDirectory()) {
    return { findings: [problem(`${folder} is no folder`, 'Set QFLARE_DATA_DIR to a folder.')], facts: undefined }
  }
  return {
    findings: [...modeFindings(folder, facts), await examineDisk('data folder', folder), ...(await rights(folder))],
    facts,
  }
}

function modeFindings(folder: string, { uid, mode }: Stats): Finding[] {
  const permissions = (mode & 0o777).toString(8)
  const whose = `${folder} belongs to user id ${uid}, mode ${permissions}`
  if ((mode & 0o022) !== 0) {
    return [problem(`${whose}: others may write there, and replace what is in it`, `chmod go-w ${folder}`)]
  }
  if ((mode & 0o044) !== 0) return [warning(`${whose}: others may list it`, `chmod go-r ${folder}`)]
  return [ok(whose)]
}

/** Asks, and writes nothing. */
async function rights(folder: string): Promise<Finding[]> {
  try {
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK)
    return []
  } catch {
    return [
      unseen(`${folder} is not this user's`, 'Run this as the user of the service, or as root, to see what is in it.'),
    ]
  }
}
