// The shop's configuration. Everything that differs between two labs on one machine is an environment variable.
const {
    DefaultJobQueuePlugin,
    DefaultLogger,
    LogLevel,
    dummyPaymentHandler,
} = require('@vendure/core');
const { WebhookPlugin } = require('./webhook-plugin');

const env = process.env;

exports.port = Number(env.PORT || 3100);

/** `synchronize` lets TypeORM make the schema: populate.js alone may do that. */
exports.makeConfig = ({ synchronize = false } = {}) => ({
    apiOptions: {
        hostname: '127.0.0.1',
        port: exports.port,
        adminApiPath: 'admin-api',
        shopApiPath: 'shop-api',
    },
    authOptions: {
        tokenMethod: ['bearer'],
        // Accounts work at once: there is no mail to click on.
        requireVerification: false,
        superadminCredentials: {
            identifier: 'superadmin',
            password: env.SHOP_ADMIN_PASSWORD || 'superadmin',
        },
        cookieOptions: { secret: 'lab-only' },
    },
    dbConnectionOptions: {
        type: 'postgres',
        host: env.DB_HOST || '127.0.0.1',
        port: Number(env.DB_PORT || 5432),
        database: env.DB_NAME || 'vendure',
        username: env.DB_USER || 'postgres',
        password: env.DB_PASSWORD || undefined,
        synchronize,
        logging: false,
    },
    logger: new DefaultLogger({ level: env.LOG_LEVEL === 'verbose' ? LogLevel.Verbose : LogLevel.Warn, timestamp: true }),
    paymentOptions: { paymentMethodHandlers: [dummyPaymentHandler] },
    plugins: [
        // Jobs go through the database, as the worker is a process of its own: run inside the server it loses events.
        DefaultJobQueuePlugin.init({ pollInterval: 1000 }),
        WebhookPlugin,
    ],
});
