// Runs under any Node from 20 on with nothing installed, so: plain JavaScript and built-in modules only.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

/** The checkout. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** The oldest Node that runs this product. */
const NODE_MAJOR = 24

const EXECUTABLE = process.platform === 'win32' ? 'node.exe' : 'node'
const LOCK_POLL_MS = 200

/** Says something beside the output proper. */
export function note(line) {
  process.stderr.write(`${line}\n`)
}

/** A problem the reader can solve; printed without a stack trace. */
export class BootstrapError extends Error {}

/**
 * Installs what package-lock.json says, unless that is there already, and finds the Node to go on with.
 * @param {{ root?: string, say?: (line: string) => void }} [options]
 * @returns {Promise<string>} path of a Node 24 or newer
 */
export async function ensureInstalled({ root = ROOT, say = note } = {}) {
  const stampFile = join(root, 'node_modules', '.alter-install-stamp')
  const lockText = readFileSync(join(root, 'package-lock.json'), 'utf8')
  const stamp = createHash('sha256').update(`${process.platform}-${process.arch}\n${lockText}`).digest('hex')
  if (readText(stampFile) !== stamp) {
    await alone(root, () => {
      if (!matchesLock(JSON.parse(lockText), readJson(join(root, 'node_modules', '.package-lock.json'))))
        install(root, say)
      writeFileSync(stampFile, stamp)
    })
  }
  return findNode(root)
}

/**
 * True if npm's own record of what it installed has every package of the lock file. Optional packages may be missing: most are
 * for other platforms.
 * @param {{ packages: Record<string, LockEntry> }} lock
 * @param {{ packages?: Record<string, LockEntry> } | undefined} installed
 * @typedef {{ version?: string, integrity?: string, optional?: boolean, devOptional?: boolean, link?: boolean }} LockEntry
 */
export function matchesLock(lock, installed) {
  if (installed?.packages === undefined) return false
  return Object.entries(lock.packages).every(([path, wanted]) => {
    if (!path.includes('node_modules/')) return true
    const found = installed.packages?.[path]
    if (found === undefined) return wanted.optional === true || wanted.devOptional === true
    if (wanted.integrity !== undefined && found.integrity !== undefined) return wanted.integrity === found.integrity
    return wanted.version === found.version
  })
}

/** One installation at a time: `npm start` and `npm test` of a fresh checkout may be typed in two terminals. */
async function alone(root, fn) {
  const lockFile = join(root, '.alter', 'install.lock')
  mkdirSync(join(root, '.alter'), { recursive: true, mode: 0o700 })
  for (;;) {
    try {
      const handle = openSync(lockFile, 'wx')
      writeFileSync(handle, String(process.pid))
      closeSync(handle)
      break
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
      const holder = Number(readText(lockFile))
      if (holder > 0 && !isAlive(holder)) rmSync(lockFile, { force: true })
      else await delay(LOCK_POLL_MS)
    }
  }
  try {
    return fn()
  } finally {
    rmSync(lockFile, { force: true })
  }
}

/** Whether a process of this id runs, whoever owns it. */
export function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

function install(root, say) {
  say('Installing dependencies as package-lock.json says …')
  // The npm that runs this script, on the Node that runs that npm: the one in node_modules/.bin is about to be replaced.
  const { npm_execpath: npmCli, npm_node_execpath: npmNode } = process.env
  const [command, ...first] =
    npmCli?.endsWith('.js') && npmNode !== undefined && !npmNode.startsWith(join(root, 'node_modules'))
      ? [npmNode, npmCli]
      : ['npm']
  const { status, error } = spawnSync(
    command,
    [...first, 'ci', '--loglevel=error', '--include=dev', '--include=optional'],
    { cwd: root, stdio: ['ignore', 2, 2], env: { ...process.env, PATH: pathWithout(join(root, 'node_modules')) } },
  )
  if (status !== 0) {
    throw new BootstrapError(
      `"npm ci" failed${error ? ` (${error.message})` : ''}. Mend what it says above and type the same command again.`,
    )
  }
}

function pathWithout(folder) {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .filter((entry) => !entry.startsWith(folder))
    .join(delimiter)
}

/** The Node of node_modules, else one on the PATH that is new enough. */
function findNode(root) {
  const pinned = join(root, 'node_modules', '.bin', EXECUTABLE)
  const candidates = [
    pinned,
    process.execPath,
    ...pathWithout(join(root, 'node_modules'))
      .split(delimiter)
      .map((entry) => join(entry, EXECUTABLE)),
  ]
  const found = candidates.find((candidate) => existsSync(candidate) && majorOf(candidate) >= NODE_MAJOR)
  if (found !== undefined) return found
  throw new BootstrapError(
    `Node ${NODE_MAJOR} is needed: npm has no Node for ${process.platform}-${process.arch}, and none on the PATH is new enough (this is ${process.version}).\n` +
      `Install it, for example with "nvm install ${NODE_MAJOR} && nvm use ${NODE_MAJOR}", and type the same command again.`,
  )
}

function majorOf(node) {
  if (realpathSync(node) === realpathSync(process.execPath)) return Number(process.versions.node.split('.')[0])
  const { stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' })
  return Number(/^v(\d+)\./.exec(stdout ?? '')?.[1] ?? 0)
}

function readText(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

function readJson(path) {
  const text = readText(path)
  return text === undefined ? undefined : JSON.parse(text)
}
