const { bootstrap } = require('@vendure/core');
const { makeConfig, port } = require('./config');

bootstrap(makeConfig()).then(
    () => console.log(`shop listening on 127.0.0.1:${port}`),
    error => {
        console.error(error);
        process.exit(1);
    },
);
