import * as contract from '@alter-vault/contracts'
import { Answer, Download } from '../http/answer.ts'
import { type BoundEndpoint, bind, bindFor } from '../http/bind-endpoint.ts'
import type { AuditReads } from './audit-reads.ts'
import type { Reader } from './reader.ts'

/** Keys are only ever added, and whoever meets an unknown one asks again. */
const KEYS_CACHED_SECONDS = 3_600

const bindForReaders = bindFor<'operator', Reader>()

/** The audit log as operators read it, and the public keys as anybody does. */
export function createAuditRoutes(reads: AuditReads): BoundEndpoint[] {
  return [
    bind(contract.listAuditEvents, async ({ params, query }) => reads.listEvents(params.app_id, query)),
    bind(contract.showAuditEvent, async ({ params }) => reads.showEvent(params.app_id, params.event_id)),
    bindForReaders(contract.showAuditBody, async ({ params, principal }) =>
      reads.showBody(params.app_id, params.event_id, principal),
    ),
    bind(contract.listPortalActions, async ({ params, query }) => reads.listPortalActions(params.app_id, query)),
    bind(contract.listGrantEvents, async ({ params, query }) => reads.listGrantEvents(params.app_id, query)),
    bind(contract.listAuditTraces, async ({ params, query }) => reads.listTraces(params.app_id, query)),
    bind(contract.showAuditTrace, async ({ params }) => reads.showTrace(params.app_id, params.trace_id)),
    bind(contract.explainAuditTrace, async ({ params }) => reads.explainTrace(params.app_id, params.trace_id)),
    bind(contract.listAuditCheckpoints, async ({ params, query }) => reads.listCheckpoints(params.app_id, query)),
    bindForReaders(contract.checkAuditIntegrity, async ({ params, principal }) =>
      reads.checkIntegrity(params.app_id, principal),
    ),
    bindForReaders(contract.createAuditExport, async ({ params, principal, body, once }) =>
      reads.exports.create(params.app_id, principal, body, once),
    ),
    bind(contract.listAuditExports, async ({ params }) => ({
      items: await reads.exports.list(params.app_id),
      has_more: false,
      next_cursor: null,
    })),
    bind(contract.showAuditExport, async ({ params }) => reads.exports.show(params.app_id, params.export_id)),
    bind(
      contract.fetchAuditExportRows,
      async ({ params }) => new Download(await reads.exports.rowsFile(params.app_id, params.export_id)),
    ),
    bind(
      contract.fetchAuditExportCheckpoints,
      async ({ params }) => new Download(await reads.exports.checkpointsFile(params.app_id, params.export_id)),
    ),
    bind(
      contract.listAuditKeys,
      async () =>
        new Answer({
          headers: { 'Cache-Control': `public, max-age=${KEYS_CACHED_SECONDS}` },
          body: await reads.listPublicKeys(),
        }),
    ),
  ]
}
