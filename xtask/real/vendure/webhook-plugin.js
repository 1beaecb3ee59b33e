// Tells one receiver what happened in the shop. Vendure has no outgoing webhooks and no outbox, so an event is lost
// when the receiver stays away longer than the retries below: that is the point, the hub must find it by itself.
//
// Body:    {"id", "topic", "entity_id", "occurred_at"} and, where the entity belongs to an order, "order_id".
// Header:  x-signature = hex HMAC-SHA256 of the raw body.
const { createHmac, randomUUID } = require('node:crypto');
const core = require('@vendure/core');

const url = process.env.HUB_WEBHOOK_URL;
const secret = process.env.HUB_WEBHOOK_SECRET || '';
const attempts = Number(process.env.HUB_WEBHOOK_ATTEMPTS || 3);

class WebhookPlugin {
    constructor(eventBus, connection) {
        this.eventBus = eventBus;
        this.connection = connection;
    }

    onApplicationBootstrap() {
        if (!url) {
            return;
        }
        const on = (type, toMessages) =>
            this.eventBus.ofType(type).subscribe(event => {
                Promise.resolve(toMessages(event))
                    .then(messages => messages.forEach(message => send(message, event.createdAt)))
                    .catch(error => core.Logger.warn(`webhook not made: ${error.message}`, 'Webhook'));
            });

        on(core.OrderStateTransitionEvent, e => [ofOrder('order.state', e.order)]);
        on(core.OrderPlacedEvent, e => [ofOrder('order.placed', e.order)]);
        on(core.PaymentStateTransitionEvent, e => [message('payment.state', e.payment.id, e.order.id)]);
        on(core.RefundStateTransitionEvent, e => [message('refund.state', e.refund.id, e.order.id)]);
        on(core.FulfillmentStateTransitionEvent, e => this.ofFulfillment(e));
        on(core.StockMovementEvent, e =>
            unique(e.stockMovements.map(m => m.productVariant?.id ?? m.productVariantId)).map(id => message('stock', id)),
        );
        on(core.ProductVariantEvent, e => e.entity.map(v => message('variant', v.id)));
        on(core.ProductVariantPriceEvent, e => unique(e.entity.map(p => p.variant?.id)).map(id => message('variant', id)));
        on(core.ProductEvent, e => [message('product', e.entity.id)]);
        on(core.CustomerEvent, e => [message('customer', e.entity.id)]);
    }

    // The admin API cannot read a fulfilment by its id, so the receiver needs the order.
    async ofFulfillment({ ctx, fulfillment }) {
        const found = await this.connection
            .getRepository(ctx, core.Fulfillment)
            .findOne({ where: { id: fulfillment.id }, relations: { orders: true } });
        const orders = found?.orders ?? [];
        return (orders.length ? orders : [undefined]).map(order => message('fulfillment.state', fulfillment.id, order?.id));
    }
}

function ofOrder(topic, order) {
    return message(topic, order.id, order.id);
}

function message(topic, entityId, orderId) {
    return {
        topic,
        entity_id: String(entityId),
        ...(orderId === undefined ? {} : { order_id: String(orderId) }),
    };
}

function unique(ids) {
    return [...new Set(ids.filter(id => id !== undefined && id !== null))];
}

async function send(content, occurredAt) {
    // Made once: the same id and bytes on every try, so that the receiver can tell a repeat.
    const body = JSON.stringify({ id: randomUUID(), ...content, occurred_at: (occurredAt ?? new Date()).toISOString() });
    const signature = createHmac('sha256', secret).update(body).digest('hex');
    for (let attempt = 1; attempt <= attempts; attempt++) {
        try {
            const response = await fetch(url, {
                method: 'POST',
                headers: { 'content-type': 'application/json', 'x-signature': signature },
                body,
                signal: AbortSignal.timeout(5000),
            });
            if (response.status < 500 && response.status !== 429) {
                return;
            }
        } catch {
            // Refused or timed out: tried again below.
        }
        await new Promise(resolve => setTimeout(resolve, 250 * 4 ** (attempt - 1)));
    }
    core.Logger.warn(`webhook lost: ${body}`, 'Webhook');
}

// What TypeScript would emit for the decorators; the shop is plain JavaScript.
Reflect.defineMetadata('design:paramtypes', [core.EventBus, core.TransactionalConnection], WebhookPlugin);
core.VendurePlugin({ imports: [core.PluginCommonModule], compatibility: '^3.0.0' })(WebhookPlugin);

exports.WebhookPlugin = WebhookPlugin;
