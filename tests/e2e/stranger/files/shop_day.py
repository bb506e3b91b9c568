"""What people do in the shop on the day of the sale."""

from surgeproof.load import OpenLoopUser, journey


class Customer(OpenLoopUser):
    """Looks at items, orders some, and later asks for each order."""

    @journey("GET /items/{id}")
    async def look(self) -> None:
        item = self.random.randrange(100)
        await self.client.get(f"/items/{item}")

    @journey("POST /orders")
    async def order(self) -> None:
        key = f"order-{self.random.getrandbits(64):016x}"
        answer = await self.client.post("/orders", json={"key": key})
        if answer.is_served:
            self.ledger.write("order", key, "ok")
        else:
            self.ledger.write("order", key, "info" if answer.is_indefinite else "fail")

    async def read_back(self, kind: str, key: str) -> int:
        del kind  # the only kind is order
        answer = await self.client.get(f"/orders/{key}")
        if not answer.is_served:
            raise RuntimeError(f"order {key} cannot be read: {answer.status}")
        return int(answer.json()["count"])
