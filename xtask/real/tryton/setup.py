"""Fills an empty Tryton database with the company that the lab's shop sells for.

Never: knows the shop's API. The two agree because both read the shop's products.csv.
"""
import csv
import datetime
import os
import sys
from decimal import Decimal

from proteus import Model, config
from trytond.modules.account.tests.tools import (
    create_chart, create_fiscalyear, create_tax, get_accounts)
from trytond.modules.account_invoice.tests.tools import (
    set_fiscalyear_invoice_sequences)
from trytond.modules.company.tests.tools import create_company, get_company

CURRENCY = 'EUR'
TAX_RATE = Decimal('.20')
SHIPPING_FEE = Decimal('5.00')
COUNTRIES = [('DE', 'Germany'), ('FR', 'France'), ('AT', 'Austria')]

# What the hub's user may do: sell, ship and count. It is no administrator of products, parties or accounts.
HUB_GROUPS = [
    'sale.group_sale',
    'stock.group_stock',
    'sale_amendment.group_sale_amendment',
]


def main():
    database, conf = os.environ['ERP_DB'], os.environ['TRYTOND_CONFIG']
    session = config.set_trytond(database, user='admin', config_file=conf)
    countries = create_countries()
    company = set_up_company(session)
    accounts = set_up_books(company)
    tax = set_up_tax()
    goods, services, untaxed = create_categories(accounts, tax)
    rows = read_products(os.environ['PRODUCTS_CSV'])
    products = create_products(rows, goods, services, untaxed)
    create_payment_terms()
    create_guest(countries['DE'])
    take_inventory(rows, products)
    create_hub_user(session, company)
    print(f"ERP set up: {len(products)} products")


def create_countries():
    Country = Model.get('country.country')
    countries = {}
    for code, name in COUNTRIES:
        countries[code] = Country(code=code, name=name)
        countries[code].save()
    return countries


def set_up_company(session):
    Party = Model.get('party.party')
    User = Model.get('res.user')
    Employee = Model.get('company.employee')
    party = Party(name="Counterpart Lab")
    party.save()
    create_company(party=party, currency=CURRENCY)
    company = get_company()
    clerk = Party(name="Clerk")
    clerk.save()
    employee = Employee(party=clerk, company=company)
    employee.save()
    admin = User(session.user)
    admin.companies.append(company)
    admin.company = company
    admin.employees.append(employee)
    admin.employee = employee
    admin.save()
    session._context = User.get_preferences(True, {})
    return company


def set_up_books(company):
    """Two fiscal years, so that a lab made on New Year's Eve still works the day after."""
    create_chart(company)
    this_year = datetime.date.today().year
    for year in (this_year, this_year + 1):
        span = datetime.date(year, 1, 1), datetime.date(year, 12, 31)
        fiscalyear = set_fiscalyear_invoice_sequences(
            create_fiscalyear(company, span))
        fiscalyear.save()
        fiscalyear.click('create_period')
    accounts = get_accounts(company)
    Journal = Model.get('account.journal')
    cash, = Journal.find([('type', '=', 'cash')], limit=1)
    PaymentMethod = Model.get('account.invoice.payment.method')
    PaymentMethod(
        name="Web payment", journal=cash, company=company,
        credit_account=accounts['cash'], debit_account=accounts['cash']).save()
    return accounts


def set_up_tax():
    # The shop rounds tax once per line. Tryton's default rounds once per document, and would differ by a cent.
    Configuration = Model.get('account.configuration')
    configuration = Configuration(1)
    configuration.tax_rounding = 'line'
    configuration.save()
    tax = create_tax(TAX_RATE)
    tax.name = tax.description = "Sales tax 20%"
    tax.save()
    return tax


def create_categories(accounts, tax):
    Category = Model.get('product.category')

    def create(name, taxes):
        category = Category(name=name, accounting=True)
        category.account_expense = accounts['expense']
        category.account_revenue = accounts['revenue']
        for each in taxes:
            category.customer_taxes.append(each)
        category.save()
        return category

    Tax = Model.get('account.tax')
    return (
        create("Goods", [Tax(tax.id)]),
        create("Services", [Tax(tax.id)]),
        create("Untaxed", []))


def read_products(path):
    """The shop's list; a row without a name is a further variant of the product above it."""
    rows, name = [], None
    with open(path, newline='', encoding='utf-8') as lines:
        for row in csv.DictReader(lines):
            name = row['name'] or name
            label = ' '.join(filter(None, [name, row['optionValues']]))
            rows.append({
                    'code': row['sku'],
                    'name': label,
                    'price': Decimal(row['price']),
                    'stock': float(row['stockOnHand']),
                    })
    return rows


def create_products(rows, goods, services, untaxed):
    Template = Model.get('product.template')
    Uom = Model.get('product.uom')
    unit, = Uom.find([('name', '=', "Unit")])

    def create(code, name, price, type, category):
        template = Template(
            name=name, default_uom=unit, type=type, salable=True,
            list_price=price, account_category=category)
        template.code = code
        template.save()
        return template.products[0]

    products = {
        row['code']: create(
            row['code'], row['name'], row['price'], 'goods', goods)
        for row in rows}
    create('SHIP-FEE', "Shipping", SHIPPING_FEE, 'service', services)
    create('DISCOUNT', "Discount", Decimal(0), 'service', services)
    create('ROUNDING', "Rounding difference", Decimal(0), 'service', untaxed)
    return products


def create_payment_terms():
    PaymentTerm = Model.get('account.invoice.payment_term')
    for name, days in [("Prepaid", 0), ("Net 30", 30)]:
        term = PaymentTerm(name=name)
        line = term.lines.new(type='remainder')
        line.relativedeltas.new(days=days)
        term.save()


def create_guest(country):
    Party = Model.get('party.party')
    guest = Party(name="Web customer")
    address, = guest.addresses
    address.street_unstructured = "By order"
    address.country = country
    address.invoice = address.delivery = True
    identifier = guest.identifiers.new()
    identifier.code = 'WEB-GUEST'
    guest.save()


def take_inventory(rows, products):
    Inventory = Model.get('stock.inventory')
    Location = Model.get('stock.location')
    storage, = Location.find([('code', '=', 'STO')])
    inventory = Inventory(location=storage)
    for row in rows:
        inventory.lines.new(product=products[row['code']], quantity=row['stock'])
    inventory.save()
    inventory.click('confirm')


def create_hub_user(session, company):
    """A user with a password for RPC and a key for REST; the key goes to $ERP_KEY_FILE."""
    User = Model.get('res.user')
    Group = Model.get('res.group')
    ModelData = Model.get('ir.model.data')
    UserApplication = Model.get('res.user.application')
    with open(os.environ['ERP_PASSWORD_FILE'], encoding='utf-8') as secret:
        password = secret.readline().strip()
    user = User(name="Integration hub", login='hub', password=password)
    for name in HUB_GROUPS:
        user.groups.append(Group(ModelData.get_id(name, session.context)))
    user.companies.append(type(company)(company.id))
    user.company = company
    user.save()
    application = UserApplication(user=user, application='rest')
    application.save()
    path = os.environ.get('ERP_KEY_FILE')
    if path:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w') as out:
            out.write(f"{application.key}\n")


if __name__ == '__main__':
    sys.exit(main())
