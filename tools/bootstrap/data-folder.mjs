import { existsSync, lstatSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { BootstrapError, isAlive } from './install.mjs'

/** Where the embedded PostgreSQL of a data folder keeps its data: a folder of its own elsewhere, when root starts it and its user cannot enter. */
function databaseHome(dataDir) {
  const place = join(dataDir, 'pg')
  return lstatSync(place, { throwIfNoEntry: false })?.isSymbolicLink()
    ? dirname(resolve(dataDir, readlinkSync(place)))
    : dataDir
}

/**
 * The PostgreSQL that runs on a data folder, by its own note (postmaster.pid: its process id first, the folder of its socket fifth).
 * @param {string} dataDir
 * @returns {{ pid: number, socketFolder: string } | undefined}
 */
export function findPostmaster(dataDir) {
  const note = join(databaseHome(dataDir), 'pg', 'postmaster.pid')
  if (!existsSync(note)) return undefined
  const lines = readFileSync(note, 'utf8').split('\n')
  const pid = Number(lines[0])
  return isAlive(pid) ? { pid, socketFolder: lines[4] } : undefined
}

/**
 * For any client of PostgreSQL, as the owner, to whom no row is hidden. The operating-system user who started the server may connect.
 * @param {string} socketFolder
 */
export function connectionString(socketFolder) {
  return `postgresql:///alter_vault?host=${encodeURIComponent(socketFolder)}&user=postgres`
}

/**
 * Says what a data folder holds, then removes it.
 * @param {string} dataDir
 * @param {(line: string) => void} say
 */
export function removeDataFolder(dataDir, say) {
  if (!existsSync(dataDir)) return say(`Nothing to remove: "${dataDir}" does not exist.`)
  const running = findPostmaster(dataDir)
  if (running !== undefined) {
    throw new BootstrapError(
      `A server is using "${dataDir}" (PostgreSQL is process ${running.pid}). Stop it with Ctrl-C and type the same command again.`,
    )
  }
  const home = databaseHome(dataDir)
  for (const folder of new Set([dataDir, home])) say(`Removing "${folder}".`)
  say(
    'With it go the development database, its audit log, and the keys without which no copy of the database can be opened.',
  )
  if (home !== dataDir) rmSync(home, { recursive: true, force: true })
  rmSync(dataDir, { recursive: true, force: true })
}
