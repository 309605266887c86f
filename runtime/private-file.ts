/** Of a file, as it was when it was read. */
export interface FileRights {
  /** The nine bits of rwxrwxrwx. */
  permissions: number
  /** Of the user whose file it is. */
  ownerId: number
}

const OTHERS = 0o077
const GROUP_READS = 0o040

/**
 * What is wrong with the rights of a file with a secret; undefined: nobody may read it but its user. A file of root's may be readable
 * by its group, as Kubernetes and systemd give secrets to a user that owns nothing, and as PostgreSQL takes its keys: who is in
 * that group is root's to say. For root itself there is no such need.
 */
export function privacyProblem({ permissions, ownerId }: FileRights, userId = process.getuid?.()): string | undefined {
  const allowed = ownerId === 0 && userId !== 0 ? GROUP_READS : 0
  if ((permissions & OTHERS & ~allowed) === 0) return undefined
  return `other users may read it (mode ${permissions.toString(8)}); run chmod 600 on it.`
}
