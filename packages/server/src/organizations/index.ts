export {
  getOrganization,
  insertOrganization,
  lockOrganization,
  organizationSettings,
  toOrganization,
} from './organization-store.ts'
export { createOrganizationRoutes } from './routes.ts'
