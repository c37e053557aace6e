export {
  getOrganization,
  insertOrganization,
  lockOrganization,
  organizationSettings,
  readOrganizationIds,
  toOrganization,
} from './organization-store.ts'
export { createOrganizationRoutes } from './routes.ts'
