import { afterAll } from 'vitest'
import { dropSharedDatabase } from './test-database.ts'

/* Set up with each file of database tests; the modules of one process stay between files. */
afterAll(dropSharedDatabase)
