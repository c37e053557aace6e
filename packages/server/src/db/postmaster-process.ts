import { execFile } from 'node:child_process'
import { readFile, unlink } from 'node:fs/promises'
import { connect } from 'node:net'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { DatabaseStartError, inUse } from './database-start-error.ts'

/**
 * Who started a postmaster is written on its command line; PostgreSQL accepts any setting whose name has a dot. A postmaster
 * whose parent is somebody else has lost its server: an orphan.
 */
export const OWNER_SETTING = 'alter_vault.owner_pid'

const FAST_SHUTDOWN_MS = 30_000
const IMMEDIATE_SHUTDOWN_MS = 10_000
const POLL_MS = 20
const LOCK_WRITE_MS = 100

type Process = { parentPid: number; command: string[] }

/** The live process `pid`, or undefined when there is none (or a zombie). */
async function inspectProcess(pid: number): Promise<Process | undefined> {
  if (process.platform === 'linux') {
    try {
      const [commandLine, status] = await Promise.all([
        readFile(`/proc/${pid}/cmdline`, 'utf8'),
        readFile(`/proc/${pid}/stat`, 'utf8'),
      ])
      if (commandLine === '') return undefined
      // proc_pid_stat(5): "pid (comm) state ppid …"; comm may hold anything, so read from the last parenthesis.
      const parentPid = Number(status.slice(status.lastIndexOf(')') + 2).split(' ')[1])
      return { parentPid, command: commandLine.split('\0') }
    } catch {
      return undefined
    }
  }
  try {
    const { stdout } = await promisify(execFile)('ps', ['-ww', '-o', 'ppid=,command=', '-p', String(pid)])
    const [parentPid, ...command] = stdout.trim().split(/\s+/)
    return { parentPid: Number(parentPid), command }
  } catch {
    return undefined
  }
}

function runsPostmasterOf(dataFolder: string, { command }: Process): boolean {
  return basename(command[0] ?? '') === 'postgres' && ` ${command.join(' ')} `.includes(` ${dataFolder} `)
}

function isOrphan({ command, parentPid }: Process): boolean {
  const owner = command.find((word) => word.startsWith(`${OWNER_SETTING}=`))
  return owner !== undefined && Number(owner.slice(OWNER_SETTING.length + 1)) !== parentPid
}

/** True when a process, or the zombie of one, has this id. */
export function hasPid(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** `postmaster.pid` (PostgreSQL's miscadmin.h): pid, data folder, start time, port, socket folder, … one a line. */
async function readLockFile(dataFolder: string) {
  let text: string
  try {
    text = await readFile(join(dataFolder, 'postmaster.pid'), 'utf8')
  } catch {
    return undefined
  }
  const lines = text.split('\n')
  return { pid: Number(lines[0]), port: Number(lines[3]), socketFolder: lines[4] ?? '' }
}

function isWhole({ pid }: { pid: number }): boolean {
  return Number.isInteger(pid) && pid > 0
}

function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/**
 * Makes sure that nothing runs on `dataFolder`: ends the postmaster of a server that was killed (a clean, fast shutdown) and removes lock
 * files, its own and that of the socket at `socketPath`, whose pid now belongs to another program. Returns what was found, for the log.
 * @throws DatabaseStartError `data_folder_in_use` when a postmaster there still has its server, or is out of our sight.
 */
export async function clearDataFolder(
  dataFolder: string,
  socketPath: string,
): Promise<'idle' | 'orphan_ended' | 'stale_lock_removed'> {
  let lock = await readLockFile(dataFolder)
  if (lock !== undefined && !isWhole(lock)) {
    // Being written at this moment, or cut short by a power failure or a full disk; PostgreSQL refuses the latter.
    await delay(LOCK_WRITE_MS)
    lock = await readLockFile(dataFolder)
  }
  if (lock !== undefined && isWhole(lock)) {
    const found = await inspectProcess(lock.pid)
    if (found !== undefined && runsPostmasterOf(dataFolder, found)) {
      if (!isOrphan(found)) throw inUse(dataFolder, `process ${lock.pid}, started by process ${found.parentPid}`)
      await endOrphan(lock.pid, dataFolder)
      return 'orphan_ended'
    }
  }
  const sockets = lock?.socketFolder ? [socketPath, join(lock.socketFolder, `.s.PGSQL.${lock.port}`)] : [socketPath]
  for (const path of sockets) {
    if (await answers(path))
      throw inUse(dataFolder, 'a process that cannot be seen from here, perhaps in another container')
  }
  const removed = await Promise.all([join(dataFolder, 'postmaster.pid'), `${socketPath}.lock`].map(removeStaleLock))
  return removed.includes(true) ? 'stale_lock_removed' : 'idle'
}

/**
 * Nothing runs here. PostgreSQL itself replaces the lock of a process that is gone, but stops when any other has its pid, as happens in
 * containers, when a zombie has it, and when the file was cut short.
 */
async function removeStaleLock(path: string): Promise<boolean> {
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return false
  const pid = Number.parseInt(text, 10)
  if (isWhole({ pid }) && !hasPid(pid)) return false
  await unlink(path).catch(() => undefined)
  return true
}

async function endOrphan(pid: number, dataFolder: string): Promise<void> {
  for (const [signal, waitMs] of [
    ['SIGINT', FAST_SHUTDOWN_MS],
    ['SIGQUIT', IMMEDIATE_SHUTDOWN_MS],
  ] as const) {
    try {
      process.kill(pid, signal)
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ESRCH') return
      throw new DatabaseStartError(
        'data_folder_in_use',
        dataFolder,
        `The PostgreSQL of a server that was killed still runs on "${dataFolder}" as process ${pid} and belongs to another user. Stop it (kill -INT ${pid}) and start again.`,
        cause,
      )
    }
    for (let waited = 0; waited < waitMs; waited += POLL_MS) {
      if ((await inspectProcess(pid)) === undefined) return
      await delay(POLL_MS)
    }
  }
  throw new DatabaseStartError(
    'data_folder_in_use',
    dataFolder,
    `The PostgreSQL of a server that was killed still runs on "${dataFolder}" as process ${pid} and does not stop. Look at that process, end it, and start again.`,
  )
}
