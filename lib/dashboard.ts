/**
 * A live page of what goes through channels: rates, what waits, who is on them, who writes to whom.
 *
 * @module millrace/dashboard
 */

export { serveDashboard, type Dashboard, type DashboardOptions } from './dashboard/serve.js'
