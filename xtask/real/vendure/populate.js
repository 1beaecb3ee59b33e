// Makes the shop's schema, its content and the hub's administrator, with the password in $SHOP_HUB_PASSWORD, in an empty database.
const path = require('node:path');
const { bootstrap } = require('@vendure/core');
const { importProductsFromCsv, populateInitialData } = require('@vendure/core/cli');
const { makeConfig, port } = require('./config');

const TAX_PERCENT = 20;

/** The least that lets the hub read orders, customers and stock, fulfil, cancel, refund, and set stock and prices. */
const HUB_PERMISSIONS = (
    process.env.SHOP_HUB_PERMISSIONS ||
    'Authenticated,ReadOrder,UpdateOrder,ReadCustomer,UpdateCustomer,ReadCatalog,UpdateCatalog,ReadStockLocation'
).split(',');

const payment = (name, automaticSettle) => ({
    name,
    handler: {
        code: 'dummy-payment-handler',
        arguments: [{ name: 'automaticSettle', value: String(automaticSettle) }],
    },
});

const initialData = {
    defaultLanguage: 'en',
    defaultZone: 'Europe',
    countries: [
        { name: 'Germany', code: 'DE', zone: 'Europe' },
        { name: 'France', code: 'FR', zone: 'Europe' },
        { name: 'Austria', code: 'AT', zone: 'Europe' },
    ],
    taxRates: [{ name: 'standard', percentage: TAX_PERCENT }],
    shippingMethods: [{ name: 'Standard Shipping', price: 500, taxRate: TAX_PERCENT }],
    // `dummy` settles at once; `dummy-later` leaves the order in PaymentAuthorized until someone settles it.
    paymentMethods: [payment('dummy', true), payment('dummy-later', false)],
    collections: [],
};

let token;

async function admin(query, variables = {}) {
    const response = await fetch(`http://127.0.0.1:${port}/admin-api`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
        body: JSON.stringify({ query, variables }),
    });
    token = response.headers.get('vendure-auth-token') || token;
    const body = await response.json();
    if (body.errors) {
        throw new Error(JSON.stringify(body.errors));
    }
    for (const [name, value] of Object.entries(body.data)) {
        if (value?.errorCode) {
            throw new Error(`${name}: ${value.errorCode} ${value.message}`);
        }
    }
    return body.data;
}

async function login() {
    const { username, password } = { username: 'superadmin', password: process.env.SHOP_ADMIN_PASSWORD || 'superadmin' };
    await admin(
        `mutation($username: String!, $password: String!) {
            login(username: $username, password: $password) { ... on CurrentUser { id } ... on ErrorResult { errorCode message } }
        }`,
        { username, password },
    );
}

async function setChannel() {
    await admin(
        `mutation($input: UpdateChannelInput!) {
            updateChannel(input: $input) { ... on Channel { id } ... on ErrorResult { errorCode message } }
        }`,
        {
            input: {
                id: '1',
                defaultCurrencyCode: 'EUR',
                availableCurrencyCodes: ['EUR'],
                pricesIncludeTax: false,
            },
        },
    );
}

async function createPromotions() {
    const create = (name, couponCode, code, args) =>
        admin(
            `mutation($input: CreatePromotionInput!) {
                createPromotion(input: $input) { ... on Promotion { id } ... on ErrorResult { errorCode message } }
            }`,
            {
                input: {
                    enabled: true,
                    couponCode,
                    conditions: [],
                    actions: [{ code, arguments: args }],
                    translations: [{ languageCode: 'en', name, description: '' }],
                },
            },
        );
    // One discount per line, one spread over the whole order, one on shipping: each is shown differently by the API.
    await create('Ten percent off', 'TENOFF', 'order_percentage_discount', [{ name: 'discount', value: '10' }]);
    await create('Five euro off', 'FIVEOFF', 'order_fixed_discount', [{ name: 'discount', value: '500' }]);
    await create('Free shipping', 'SHIPFREE', 'free_shipping', []);
}

async function createHub() {
    const { createRole } = await admin(
        `mutation($input: CreateRoleInput!) { createRole(input: $input) { id } }`,
        { input: { code: 'hub', description: 'Integration hub', permissions: HUB_PERMISSIONS } },
    );
    await admin(`mutation($input: CreateAdministratorInput!) { createAdministrator(input: $input) { id } }`, {
        input: {
            firstName: 'Integration',
            lastName: 'Hub',
            emailAddress: 'hub@example.com',
            password: process.env.SHOP_HUB_PASSWORD,
            roleIds: [createRole.id],
        },
    });
}

async function main() {
    const app = await bootstrap(makeConfig({ synchronize: true }));
    await login();
    await setChannel();
    await populateInitialData(app, initialData);
    const { imported, errors } = await importProductsFromCsv(app, path.join(__dirname, 'products.csv'), 'en');
    if (errors?.length) {
        throw new Error(errors.join('\n'));
    }
    await createPromotions();
    await createHub();
    console.log(`shop populated: ${imported} products`);
    await app.close();
}

main().then(
    () => process.exit(0),
    error => {
        console.error(error);
        process.exit(1);
    },
);
