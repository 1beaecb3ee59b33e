#!/usr/bin/env node
// Places orders through the shop's public API, as shoppers do, and prints them as one JSON array.
import { parseArgs } from 'node:util';

const HELP = `usage: node place-orders.mjs [options]
  --count N          orders to place (1)
  --url URL          the shop (http://127.0.0.1:3100)
  --concurrency N    shoppers at a time (4)
  --customer KIND    guest | registered | mixed (mixed)
  --method CODE      dummy (settled at once) | dummy-later (authorised only) (dummy)
  --coupon CODE      TENOFF | FIVEOFF | SHIPFREE
  --lines SPEC       SKU=QUANTITY[,SKU=QUANTITY...]; otherwise one to three lines by chance
  --avoid SKUS       SKUs never chosen by chance (MUG-RARE, of which there are three)
  --country CODE     DE | FR | AT (DE)
  --no-payment       stop before paying: the order stays in ArrangingPayment
  --seed N           makes the choice of lines repeatable (1)`;

const { values: options } = parseArgs({
    options: {
        count: { type: 'string', default: '1' },
        url: { type: 'string', default: 'http://127.0.0.1:3100' },
        concurrency: { type: 'string', default: '4' },
        customer: { type: 'string', default: 'mixed' },
        method: { type: 'string', default: 'dummy' },
        coupon: { type: 'string' },
        lines: { type: 'string' },
        avoid: { type: 'string', default: 'MUG-RARE' },
        country: { type: 'string', default: 'DE' },
        'no-payment': { type: 'boolean', default: false },
        seed: { type: 'string', default: '1' },
        help: { type: 'boolean', default: false },
    },
});

const ORDER = `
    id code state active totalQuantity currencyCode
    subTotal subTotalWithTax shipping shippingWithTax total totalWithTax
    customer { id emailAddress }
    lines { id quantity unitPrice proratedUnitPrice proratedLinePrice proratedLinePriceWithTax productVariant { id sku } }
    payments { id method state amount }`;

/** One shopper: a session of its own, as the shop keeps one cart per session. */
class Shopper {
    token;

    /** A deadlock in the shop's database has undone the call: a shopper presses the button again. */
    async call(query, variables = {}) {
        for (let tries = 1; ; tries++) {
            try {
                return await this.send(query, variables);
            } catch (error) {
                if (tries === 5 || !error.message.includes('deadlock detected')) {
                    throw error;
                }
            }
        }
    }

    async send(query, variables) {
        const response = await fetch(`${options.url}/shop-api`, {
            method: 'POST',
            headers: { 'content-type': 'application/json', ...(this.token ? { authorization: `Bearer ${this.token}` } : {}) },
            body: JSON.stringify({ query, variables }),
        });
        this.token = response.headers.get('vendure-auth-token') || this.token;
        const { data, errors } = await response.json();
        if (errors) {
            throw new Error(JSON.stringify(errors));
        }
        for (const [name, value] of Object.entries(data)) {
            if (value?.errorCode) {
                throw new Error(`${name}: ${value.errorCode}: ${value.message}`);
            }
        }
        return data;
    }

    async register(person) {
        const password = `pw-${person.emailAddress}`;
        await this.call(
            `mutation($input: RegisterCustomerInput!) {
                registerCustomerAccount(input: $input) { ... on Success { success } ... on ErrorResult { errorCode message } }
            }`,
            { input: { ...person, password } },
        );
        await this.call(
            `mutation($username: String!, $password: String!) {
                login(username: $username, password: $password) { ... on CurrentUser { id } ... on ErrorResult { errorCode message } }
            }`,
            { username: person.emailAddress, password },
        );
    }

    async order({ person, registered, lines }) {
        if (registered) {
            await this.register(person);
        }
        for (const { variantId, quantity } of lines) {
            await this.call(
                `mutation($variantId: ID!, $quantity: Int!) {
                    addItemToOrder(productVariantId: $variantId, quantity: $quantity) { ... on Order { id } ... on ErrorResult { errorCode message } }
                }`,
                { variantId, quantity },
            );
        }
        if (!registered) {
            await this.call(
                `mutation($input: CreateCustomerInput!) {
                    setCustomerForOrder(input: $input) { ... on Order { id } ... on ErrorResult { errorCode message } }
                }`,
                { input: person },
            );
        }
        const address = {
            fullName: `${person.firstName} ${person.lastName}`,
            streetLine1: `${1 + Math.floor(random() * 200)} Market Street`,
            city: 'Springfield',
            postalCode: String(10000 + Math.floor(random() * 80000)),
            countryCode: options.country,
            phoneNumber: person.phoneNumber,
        };
        for (const mutation of ['setOrderShippingAddress', 'setOrderBillingAddress']) {
            await this.call(
                `mutation($input: CreateAddressInput!) {
                    ${mutation}(input: $input) { ... on Order { id } ... on ErrorResult { errorCode message } }
                }`,
                { input: address },
            );
        }
        const { eligibleShippingMethods } = await this.call('{ eligibleShippingMethods { id } }');
        await this.call(
            `mutation($ids: [ID!]!) {
                setOrderShippingMethod(shippingMethodId: $ids) { ... on Order { id } ... on ErrorResult { errorCode message } }
            }`,
            { ids: [eligibleShippingMethods[0].id] },
        );
        if (options.coupon) {
            await this.call(
                `mutation($code: String!) {
                    applyCouponCode(couponCode: $code) { ... on Order { id } ... on ErrorResult { errorCode message } }
                }`,
                { code: options.coupon },
            );
        }
        const { transitionOrderToState } = await this.call(
            `mutation {
                transitionOrderToState(state: "ArrangingPayment") {
                    ... on Order { ${ORDER} }
                    ... on OrderStateTransitionError { errorCode message transitionError }
                }
            }`,
        );
        if (options['no-payment']) {
            return transitionOrderToState;
        }
        const { addPaymentToOrder } = await this.call(
            `mutation($input: PaymentInput!) {
                addPaymentToOrder(input: $input) { ... on Order { ${ORDER} } ... on ErrorResult { errorCode message } }
            }`,
            { input: { method: options.method, metadata: {} } },
        );
        return addPaymentToOrder;
    }
}

/** A small generator (mulberry32), so that a seed gives the same baskets on every machine. */
function generator(seed) {
    let state = seed >>> 0;
    return () => {
        state = (state + 0x6d2b79f5) >>> 0;
        let t = Math.imul(state ^ (state >>> 15), state | 1);
        t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
        return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
}

const random = generator(Number(options.seed));

async function variantsBySku() {
    const { products } = await new Shopper().call(
        '{ products(options: { take: 100 }) { items { variants { id sku } } } }',
    );
    return new Map(products.items.flatMap(product => product.variants.map(variant => [variant.sku, variant.id])));
}

function chosenLines(variants) {
    if (options.lines) {
        return options.lines.split(',').map(part => {
            const [sku, quantity = '1'] = part.split('=');
            if (!variants.has(sku)) {
                throw new Error(`the shop has no SKU ${sku}`);
            }
            return { variantId: variants.get(sku), quantity: Number(quantity) };
        });
    }
    const avoid = options.avoid.split(',');
    const left = [...variants].filter(([sku]) => !avoid.includes(sku));
    return Array.from({ length: 1 + Math.floor(random() * 3) }, () => {
        const [[, variantId]] = left.splice(Math.floor(random() * left.length), 1);
        return { variantId, quantity: 1 + Math.floor(random() * 3) };
    });
}

function planned(variants) {
    const run = Date.now().toString(36);
    return Array.from({ length: Number(options.count) }, (_, n) => ({
        registered: options.customer === 'registered' || (options.customer === 'mixed' && n % 2 === 1),
        lines: chosenLines(variants),
        person: {
            firstName: ['Ada', 'Grace', 'Alan', 'Edsger', 'Barbara'][n % 5],
            lastName: ['Lovelace', 'Hopper', 'Turing', 'Dijkstra', 'Liskov'][n % 5],
            emailAddress: `shopper-${run}-${n}@example.com`,
            phoneNumber: `+49 30 ${String(1000000 + n)}`,
        },
    }));
}

async function main() {
    const plans = planned(await variantsBySku());
    const placed = new Array(plans.length);
    let next = 0;
    const work = async () => {
        while (next < plans.length) {
            const n = next++;
            placed[n] = await new Shopper().order(plans[n]);
        }
    };
    await Promise.all(Array.from({ length: Math.max(1, Number(options.concurrency)) }, work));
    process.stdout.write(`${JSON.stringify(placed, null, 1)}\n`);
}

if (options.help) {
    console.log(HELP);
} else {
    main().catch(error => {
        console.error(error.message);
        process.exit(1);
    });
}
